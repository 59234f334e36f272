# The application as an image: docs/containers.md.
#
#   docker build --build-arg VERSION=$(git rev-parse --short=12 HEAD) -t groundwork .
#   docker run -p 8080:8080 -v groundwork:/data groundwork
#
# Everything is made in the first stage, with times and rights that depend on nothing, so that the same files give the same
# layers, whatever umask they were cloned under.
# The second has no compiler and no pip of ours, and runs as a number without a name, a home or a shell.
ARG PYTHON=3.13-slim

FROM python:${PYTHON} AS build
ARG EXTRAS=""
ARG VERSION=""
ENV PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
COPY requirements*.txt ./
# The lock files' hashes are checked. EXTRAS="otel sentry" adds requirements-otel.txt and requirements-sentry.txt.
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /venv \
    && set -- -r requirements.txt \
    && for extra in ${EXTRAS}; do set -- "$@" -r "requirements-${extra}.txt"; done \
    && python -m pip --python /venv/bin/python install --quiet --disable-pip-version-check --require-hashes --no-compile "$@" \
    && python -m compileall -q --invalidation-mode unchecked-hash /venv/lib \
    && mkdir -p /layers/packages && cp -a /venv /layers/packages/venv \
    && find /layers/packages -exec touch -h -d @0 {} +
WORKDIR /layers/application/app
COPY . .
RUN if [ -n "${VERSION}" ]; then printf '%s\n' "${VERSION}" >RELEASE; fi \
    && rm -f requirements*.txt \
    && python -m compileall -q --invalidation-mode unchecked-hash -s /layers/application /layers/application/app \
    && chmod -R u=rwX,go=rX /layers/application \
    && install -d -o 10001 -g 10001 -m 750 /layers/application/data \
    && find /layers/application -exec touch -h -d @0 {} +

FROM python:${PYTHON}
ARG VERSION=""
LABEL org.opencontainers.image.title="Groundwork" org.opencontainers.image.version="${VERSION}"
COPY --from=build /layers/packages /
COPY --from=build /layers/application /
WORKDIR /app
ENV PATH=/venv/bin:$PATH HOME=/tmp INSTANCE_PATH=/data PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
# No start period: new engines would then ask every 5 s, unless by an option that older ones do not know.
HEALTHCHECK --interval=3s --timeout=5s --retries=10 CMD ["python", "-S", "scripts/healthy.py"]
ENTRYPOINT ["scripts/container.sh"]
CMD ["web"]
