# syntax=docker/dockerfile:1
# One image for the backend, the worker and the embedded language model; the command says which.
# It holds piper-tts, so whoever passes it on does so under GPL-3.0-or-later: docs/licensing.md.

FROM node:22-bookworm-slim AS page
WORKDIR /app/web
COPY web/package.json web/package-lock.json ./
COPY web/client/package.json ./client/
RUN npm ci --no-audit --no-fund
COPY web ./
RUN npm run build

FROM python:3.11-slim-bookworm AS build
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
WORKDIR /app
COPY requirements.lock ./
# uv comes at its locked version, checked by hash, like everything else.
RUN awk '/^uv==/{p=1; print; next} p && /^[ \t]/{print; next} {p=0}' requirements.lock > /tmp/uv.txt \
    && python -m venv /opt/parley \
    && /opt/parley/bin/pip install --no-cache-dir --require-hashes -r /tmp/uv.txt \
    && /opt/parley/bin/uv pip install --no-cache --python /opt/parley/bin/python \
        --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY agent_worker ./agent_worker
COPY bench ./bench
COPY flow_backend ./flow_backend
COPY --from=page /app/flow_backend/page ./flow_backend/page
COPY plugins ./plugins
COPY protocol ./protocol
COPY speech ./speech
COPY stack ./stack
RUN /opt/parley/bin/uv pip install --no-cache --python /opt/parley/bin/python \
    --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="Parley" \
      org.opencontainers.image.licenses="Apache-2.0 AND GPL-3.0-or-later"
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 10001 parley \
    && install -d -o parley -g parley /home/parley/.cache /home/parley/data
COPY --from=build /opt/parley /opt/parley
COPY LICENSE NOTICE /usr/share/doc/parley/
ENV PATH=/opt/parley/bin:$PATH PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1
USER 10001
WORKDIR /home/parley/data
ENTRYPOINT ["python"]
CMD ["-m", "flow_backend"]
