"""What an operator sees of the settings: where they come from, and what is said when they are wrong."""

import os
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from config import CONFIGS, ROOT, ConfigError, TestingConfig, load_config

GOOD_SECRET = "Vb3kT9qLxW7mZp2RsY8nHc4JdF6gAe5u"
RANDOM = "R4nd0m" * 6
pytestmark = pytest.mark.usefixtures("dotenv")


def fault_of(environment: str = "production") -> str:
    with pytest.raises(ConfigError) as refused:
        load_config(environment)
    return refused.value.message


def test_nothing_needs_to_be_set() -> None:
    settings = load_config()
    assert (settings.APP_ENV, settings.PORT, settings.DATABASE_URL) == ("production", 8080, "sqlite:///app.db")
    assert settings.DEBUG is False


def test_all_faults_are_reported_at_once_and_no_value_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = {
        "SECRET_KEY": "changeme-hunter2",
        "METRICS_TOKEN": "hunter2",
        "DATABASE_URL": "mysql://me:hunter2@db/app",
        "REDIS_URL": "http://:hunter2@cache",
        "PORT": "hunter2",
        "WORKER_CLASS": "hunter2",
        "LOG_LEVEL": "hunter2",
        "CORS_ORIGINS": "https://hunter2.example/path",
        "CSP_EXTRA_SOURCES": "hunter2",
        "HOST": "unix:/run/hunter2.sock",
    }
    for name, value in faults.items():
        monkeypatch.setenv(name, value)
    text = fault_of()
    reported = [line.strip().partition(":")[0] for line in text.splitlines()[1:]]
    assert sorted(reported) == sorted({*faults, "TRUSTED_PROXIES"} - {"HOST"})
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("PORT", "80800", "less than or equal to 65535"),
        ("PORT", "eighty", "valid integer"),
        ("WORKERS", "0", "greater than or equal to 1"),
        ("WEB_CONCURRENCY", "many", "valid integer"),
        ("THREADS", "257", "less than or equal to 256"),
        ("TRUSTED_PROXIES", "-1", "greater than or equal to 0"),
        ("MAX_CONTENT_LENGTH", "8MB", "valid integer"),
        ("LOG_LEVEL", "verbose", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("METRICS_PORT", "65536", "127.0.0.1:9100"),
        ("METRICS_PORT", "127.0.0.1:0", "127.0.0.1:9100"),
        ("METRICS_PORT", "::1:9100", "[::1]:9100"),
        ("LOG_FORMAT", "xml", "'json' or 'console'"),
        ("WORKER_CLASS", "eventlet", "Use gevent"),
        ("WORKER_CLASS", "uvicorn", "none of gthread, gevent, sync"),
        ("DATABASE_URL", "mysql://db/app", "sqlite:/// or postgresql://"),
        ("DATABASE_URL", "app.db", "sqlite:/// or postgresql://"),
        ("REDIS_URL", "localhost:6379", "redis://, rediss:// or unix://"),
        ("CORS_ORIGINS", "*", "exact origins like https://app.example"),
        ("CORS_ORIGINS", "https://good.example, https://bad.example/", "exact origins"),
        ("CSP_EXTRA_SOURCES", "https://cdn.example", "script-src https://cdn.example"),
        ("CSP_EXTRA_SOURCES", "script-src", "script-src https://cdn.example"),
        ("SECRET_KEY", "x7Kq", "Make one: python -c"),
    ],
)
def test_a_wrong_value_is_reported_with_its_remedy(
    name: str, value: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    (line,) = fault_of().splitlines()[1:]
    assert remedy in line
    assert name in line  # for WEB_CONCURRENCY in the meaning, which follows


@pytest.mark.parametrize(
    ("name", "value", "understood"),
    [
        ("DATABASE_URL", "postgres://u:p@db/app", "postgresql+psycopg://u:p@db/app"),
        ("DATABASE_URL", "postgresql://u:p@db/app", "postgresql+psycopg://u:p@db/app"),
        ("DATABASE_URL", "postgresql+psycopg://db/app", "postgresql+psycopg://db/app"),
        ("REDIS_URL", "rediss://:p@cache:6380/1", "rediss://:p@cache:6380/1"),
        ("REDIS_URL", "unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("LOG_LEVEL", "warning", "WARNING"),
        ("INSTANCE_PATH", "data", ROOT / "data"),
        ("INSTANCE_PATH", "/srv/data", Path("/srv/data")),
        ("TRUSTED_HOSTS", " a.example , .b.example ,", ("a.example", ".b.example")),
        ("CORS_ORIGINS", "https://a.example,http://localhost:3000", ("https://a.example", "http://localhost:3000")),
        ("CSP_EXTRA_SOURCES", "img-src https:; script-src https://c.example 'self'", None),
        ("WORKER_CLASS", "gevent", "gevent"),
    ],
)
def test_a_value_is_understood(name: str, value: str, understood: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert getattr(load_config(), name) == (value if understood is None else understood)


@pytest.mark.parametrize("name", ["WORKERS", "WEB_CONCURRENCY"])
@pytest.mark.parametrize("source", ["environment", ".env"])
def test_the_number_of_workers_has_two_names(
    name: str, source: str, dotenv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source == ".env":
        dotenv.write_text(f"{name}=3\n")
    else:
        monkeypatch.setenv(name, "3")
    assert load_config().WORKERS == 3


@pytest.mark.parametrize(
    "secret",
    ["x7Kq", "change-me-" + RANDOM, "example" + RANDOM, "your-secret-key-" + RANDOM, "a" * 40, "secret_key" + RANDOM],
)
@pytest.mark.parametrize("name", ["SECRET_KEY", "METRICS_TOKEN"])
def test_a_secret_that_others_could_know_is_refused_in_production_only(
    name: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, secret)
    assert getattr(load_config("development"), name).get_secret_value() == secret
    text = fault_of("production")
    assert f"{name}: is a sample or shorter than 32 characters" in text
    assert secret not in text


def test_a_good_secret_reaches_flask_and_never_a_printed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = GOOD_SECRET[::-1]
    monkeypatch.setenv("SECRET_KEY", GOOD_SECRET)
    monkeypatch.setenv("SECRET_KEY_FALLBACKS", f"{earlier}, {earlier.lower()}")
    monkeypatch.setenv("DATABASE_URL", f"postgresql://u:{GOOD_SECRET}@db/app")
    flask_config = (settings := load_config()).flask_config()
    assert flask_config["SECRET_KEY"] == GOOD_SECRET
    assert flask_config["SECRET_KEY_FALLBACKS"] == [earlier, earlier.lower()]
    assert GOOD_SECRET not in repr(settings)
    assert earlier not in repr(settings)


def test_a_fault_of_a_class_made_by_hand_prints_no_value_either() -> None:
    with pytest.raises(ValidationError) as refused:
        CONFIGS["production"](SECRET_KEY="hunter2", DATABASE_URL="mysql://me:hunter2@db/app", PORT="hunter2")
    assert refused.value.error_count() == 3
    assert "hunter2" not in str(refused.value)


def test_an_empty_value_means_not_set(dotenv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dotenv.write_text("SECRET_KEY=\nWORKERS=\nAPP_ENV=\n")
    monkeypatch.setenv("PORT", "")
    monkeypatch.setenv("FLASK_ENV", "")
    settings = load_config()
    assert (settings.SECRET_KEY, settings.WORKERS, settings.PORT, settings.APP_ENV) == (None, None, 8080, "production")


def test_the_environment_wins_over_dotenv_and_dotenv_over_secret_files(
    dotenv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate(("PORT", "THREADS", "TRUSTED_PROXIES")):
        (dotenv.parent / "secrets" / name).write_text(f"{number + 1}\n")
    dotenv.write_text("PORT=20\nTHREADS=20\n# COMMENT\nSOMETHING_OF_COMPOSE=1\n")
    monkeypatch.setenv("PORT", "300")
    settings = load_config()
    assert (settings.PORT, settings.THREADS, settings.TRUSTED_PROXIES) == (300, 20, 3)


@pytest.mark.parametrize("name", ["SECRET_KEY", "secret_key"])
def test_a_secret_may_be_a_mounted_file(name: str, dotenv: Path) -> None:
    (dotenv.parent / "secrets" / name).write_text(GOOD_SECRET + "\n")
    assert load_config().flask_config()["SECRET_KEY"] == GOOD_SECRET


def test_the_environments_number_of_workers_wins_whatever_its_name(
    dotenv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dotenv.write_text("WORKERS=2\n")
    monkeypatch.setenv("WEB_CONCURRENCY", "7")
    assert load_config().WORKERS == 7


def test_nothing_of_dotenv_leaks_into_the_environment(dotenv: Path) -> None:
    dotenv.write_text(f"PORT=9999\nSECRET_KEY={GOOD_SECRET}\nAPP_ENV=development\n")
    before = dict(os.environ)
    assert load_config().PORT == 9999
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("environment", "dotenv_text", "chosen", "noted"),
    [
        ({"APP_ENV": "development"}, "", "development", False),
        ({}, "APP_ENV=development", "development", False),
        ({"APP_ENV": "production"}, "APP_ENV=development", "production", False),
        ({"FLASK_ENV": "development"}, "", "development", True),
        ({}, "FLASK_ENV=development", "development", True),
        ({"FLASK_ENV": "development", "APP_ENV": "production"}, "", "production", False),
        ({"FLASK_ENV": "development"}, "APP_ENV=production", "production", False),
    ],
)
def test_the_environment_is_chosen_by_name(
    environment: dict[str, str],
    dotenv_text: str,
    chosen: str,
    noted: bool,
    dotenv: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dotenv.write_text(dotenv_text)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = load_config()
    assert (type(settings), settings.APP_ENV) == (CONFIGS[chosen], chosen)
    assert ("name it APP_ENV" in capsys.readouterr().err) is noted


@pytest.mark.parametrize("name", ["prodution", "testing"])
def test_a_wrong_environment_name_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Testing too: its secret is known to everybody, and nothing must be served with it."""
    monkeypatch.setenv("APP_ENV", name)
    with pytest.raises(ConfigError, match="neither production nor development"):
        load_config()


@pytest.mark.parametrize("host", ["*", "*.example.com", "https://www.example.com", "www.example.com:443", "a b"])
def test_a_trusted_host_that_could_never_match_is_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_HOSTS", host)
    assert "takes names like www.example.com or .example.com" in fault_of()


def test_development_listens_on_this_machine_only() -> None:
    settings = load_config("development")
    assert (settings.DEBUG, settings.HOST, settings.LOG_FORMAT) == (True, "127.0.0.1", "console")


def test_tests_read_neither_the_environment_nor_dotenv(dotenv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dotenv.write_text("DATABASE_URL=sqlite:///precious.db\n")
    monkeypatch.setenv("REDIS_URL", "redis://precious")
    assert TestingConfig().DATABASE_URL == "sqlite://"
    assert TestingConfig().INSTANCE_PATH != ROOT / "instance"
    assert load_config("testing").REDIS_URL is None


def test_a_unix_socket_is_accepted_with_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "unix:/run/app.sock")
    assert "Set TRUSTED_PROXIES=1" in fault_of()
    monkeypatch.setenv("TRUSTED_PROXIES", "1")
    assert load_config().TRUSTED_PROXIES == 1


def test_an_instance_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"INSTANCE_PATH: .*file/instance can not be made \(Not a directory\)"):
        TestingConfig(INSTANCE_PATH=tmp_path / "file/instance").make_instance_folder()


def test_two_applications_do_not_meet_in_a_shared_redis_whatever_their_names() -> None:
    names = ["My Shop!", "商城", "Блог", "Shop Ä", "Shop Ö", "app", "Shop"]
    slugs = [TestingConfig(APP_NAME=name).slug for name in names]
    assert slugs[0] == "my-shop"
    assert len(set(slugs)) == len(names)
    assert all(re.fullmatch("[a-z0-9-]+", slug) for slug in slugs)
