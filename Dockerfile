# syntax=docker/dockerfile:1
# Two stages: wheels are built where compilers are, and installed where none are.

FROM python:3.11-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --wheel-dir /wheels .

FROM python:3.11-slim-bookworm
RUN groupadd --system --gid 10001 aether \
    && useradd --system --uid 10001 --gid aether --home-dir /srv/aether --shell /usr/sbin/nologin aether \
    && mkdir -p /srv/aether/var && chown -R aether:aether /srv/aether
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links=/wheels aether-api \
    && pip uninstall --yes pip
WORKDIR /srv/aether
# The shipped registry beside its plug-ins; mount your own over it, or name another with AETHER_REGISTRY.
COPY --chown=aether:aether resources.yaml resources.schema.json ./
USER aether
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    AETHER_HOST=0.0.0.0 \
    AETHER_PORT=5005 \
    AETHER_LOG_FORMAT=json
VOLUME ["/srv/aether/var"]
EXPOSE 5005
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['AETHER_PORT'] + '/health/live', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["aether"]
CMD ["serve"]
