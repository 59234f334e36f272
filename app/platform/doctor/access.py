"""Checks of who may do what from where: forms, other origins, foreign scripts, sessions, logs."""

import logging

from flask import current_app

from app.extensions import csrf
from app.platform.doctor.registry import Deployment, Finding, check, fail, ok, skip, warn
from app.platform.security import UNSAFE_METHODS, Application

PROBE = "hunter2-probe"
ENTRANCES = {"/auth/login", "/auth/logout", "/auth/register"}  # for who is not logged in
# functools.wraps hands `is_guard` on: other decorators may stand above.
GUARD = """git grep -n "@blueprint" app/  # and put @login_required or @admins_only below each of them
git grep -n "is_guard = True" app/  # a decorator of your own says so, as these do"""
FOREIGN = {"'unsafe-inline'", "'unsafe-eval'", "*", "http:", "https:", "data:"}
SCRIPTS = {"script-src", "default-src", "object-src"}
LONGEST_SESSION = 30 * 24  # hours; OWASP ASVS 7.3 wants an absolute end


@check("csrf.on", "Without it any other site sends forms in the name of who is logged in here.")
def forms_need_their_token(deployment: Deployment) -> Finding:
    """Does every route that changes something want the token of a form?"""
    guarded = isinstance(current_app, Application) or isinstance(
        getattr(current_app, "_get_current_object", lambda: None)(), Application
    )
    if not current_app.config.get("WTF_CSRF_ENABLED", True) or not guarded:
        return fail("The check is switched off.", 'git grep -n "WTF_CSRF_ENABLED"  # and take it out')
    exempt, asked = [], 0
    for rule in current_app.url_map.iter_rules():
        if not UNSAFE_METHODS & (rule.methods or set()):
            continue
        view = current_app.view_functions[rule.endpoint]
        name, blueprint = f"{view.__module__}.{view.__name__}", rule.endpoint.rpartition(".")[0]
        if name in csrf._exempt_views or current_app.blueprints.get(blueprint) in csrf._exempt_blueprints:
            exempt.append(rule.rule)
        else:
            asked += 1
    # What is below /api/ names its caller by a token, and asks for the form's token where a cookie counts.
    if loose := sorted({rule for rule in exempt if "/api/" not in rule}):
        return warn(f"Exempt, outside the API: {', '.join(loose)}.", 'git grep -n "csrf.exempt" app/  # is each meant?')
    return ok(f"{asked} routes want it; {len(exempt)} of the API check their callers themselves.")


@check(
    "routes.guarded", "A form without @login_required is there for everybody, and so is a page of the administration."
)
def routes_are_guarded(deployment: Deployment) -> Finding:
    """Has every route that changes something, or is below /admin, a guard in front?"""
    meant = {*ENTRANCES, *current_app.extensions.get("public_forms", ())}
    open_forms, open_pages, closed = set(), set(), 0
    for rule in current_app.url_map.iter_rules():
        if getattr(current_app.view_functions[rule.endpoint], "is_guard", False):
            closed += 1
        elif rule.rule.startswith("/admin"):
            open_pages.add(rule.rule)
        elif UNSAFE_METHODS & (rule.methods or set()) and rule.rule not in meant:
            open_forms.add(rule.rule)
    if open_pages:
        return fail(f"For everybody: {', '.join(sorted(open_pages))}.", GUARD)
    if open_forms:
        declare = f'app.extensions["public_forms"] = {sorted(open_forms)}  # in init_app(), if that is meant'
        return warn(f"For everybody: {', '.join(sorted(open_forms))}.", f"{GUARD}\n{declare}")
    return ok(f"{closed} have one; without are only {', '.join(sorted(meant))}.")


@check("cors.origins", "A page of a listed origin acts as its visitor; over http anybody on the way can be that page.")
def origins_are_encrypted(deployment: Deployment) -> Finding:
    """Are all CORS_ORIGINS https?"""
    plain = [origin for origin in deployment.settings.CORS_ORIGINS if origin.startswith("http://")]
    if plain:
        secure = ",".join(origin.replace("http://", "https://") for origin in deployment.settings.CORS_ORIGINS)
        return warn(f"Not encrypted: {', '.join(plain)}.", f"CORS_ORIGINS={secure}")
    return ok(f"{len(deployment.settings.CORS_ORIGINS)} origins.")


@check(
    "csp.sources", "The content policy is what is left when a text slips through unescaped; so opened it stops nothing."
)
def content_policy_is_closed(deployment: Deployment) -> Finding:
    """Does CSP_EXTRA_SOURCES name single hosts for scripts only?"""
    kept, opened = [], []
    for directive in deployment.settings.CSP_EXTRA_SOURCES.split(";"):
        name, *sources = directive.split() or [""]
        if name in SCRIPTS and (wide := FOREIGN & set(sources)):
            opened.append(f"{name} is open for {', '.join(sorted(wide))}.")
            sources = [source for source in sources if source not in wide]
        if sources:
            kept.append(f"{name} {' '.join(sources)}")
    if opened:
        return fail(" ".join(opened), f'CSP_EXTRA_SOURCES="{"; ".join(kept)}"')
    return ok("Scripts come from named places only.")


@check("session.length", "A stolen laptop is logged in for as long as this.")
def sessions_end(deployment: Deployment) -> Finding:
    """Does a log-in end within a month?"""
    hours, idle = deployment.settings.SESSION_HOURS, deployment.settings.SESSION_IDLE_MINUTES
    if hours > LONGEST_SESSION:
        return warn(f"A log-in lasts {hours / 24:.0f} days.", f"SESSION_HOURS={LONGEST_SESSION}")
    return ok(f"After {idle} minutes without a request, or {hours} hours.")


@check("log.level", "At DEBUG the log holds what libraries send and receive, and grows until the disk is full.")
def log_is_quiet(deployment: Deployment) -> Finding:
    """Is nothing logged that is for developers?"""
    loud = [name for name, level in deployment.settings.LOG_LEVELS.items() if level == "DEBUG"]
    if deployment.settings.LOG_LEVEL == "DEBUG":
        return warn("LOG_LEVEL is DEBUG.", "LOG_LEVEL=INFO")
    if loud:
        return warn(f"At DEBUG: {', '.join(loud)}.", "LOG_LEVELS=")
    return ok(f"LOG_LEVEL is {deployment.settings.LOG_LEVEL}.")


@check("log.masked", "Logs are read by more people than the database, and are kept longer.")
def log_masks_secrets(deployment: Deployment) -> Finding:
    """Are secrets masked in the log, and is each record one line?"""
    handlers = [handler for handler in logging.getLogger().handlers if type(handler).__module__ != "_pytest.logging"]
    if not handlers:
        return skip("nothing is logged in this process.")
    record = logging.makeLogRecord({"name": "doctor", "msg": f"password={PROBE}\nsecond line", "levelname": "INFO"})
    for handler in handlers:
        text = handler.format(record)
        if PROBE in text:
            fix = "git checkout app/platform/logs.py  # its formatters mask"
            return fail(f"{type(handler).__name__} writes a password as it is.", fix)
        if "\n" in text:
            return warn(
                "A line break in a message begins a new line, which a visitor may have written.", "LOG_FORMAT=json"
            )
    return ok("A password is masked, a line break is escaped.")
