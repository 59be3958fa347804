# Images of deMLopment: serve (the endpoint alone), train, development and orchestrate (train and more), and the default: the demo.
#   docker build -t demlopment:latest .            docker build --target serve -t demlopment:serve .
# docs/containers.md says how they are run, and how pip's index and certificates are given to a build.

# Any image of a Debian with Python 3.11 or newer. The lock was resolved for 3.11.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS base
ENV PATH=/opt/demlopment/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DEMLOPMENT_HOME=/var/lib/demlopment \
    DEMLOPMENT_ENDPOINT__HOST=0.0.0.0
# By numbers, because Kubernetes sees from them alone that this is not root.
RUN echo "demlopment:x:10001:" >>/etc/group \
    && echo "demlopment:x:10001:10001::/var/lib/demlopment:/usr/sbin/nologin" >>/etc/passwd \
    && install -d -o 10001 -g 10001 -m 0770 /var/lib/demlopment

# Everything that only an installation needs stays in these two stages.
FROM base AS installer
ARG PIP_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_CERT
ARG TORCH_BACKEND=cpu
ENV UV_NO_CACHE=1 UV_PYTHON=/opt/demlopment/bin/python UV_CONSTRAINT=/build/requirements.lock \
    UV_BUILD_CONSTRAINT=/build/requirements.lock
WORKDIR /build
RUN python3 -c "import ensurepip" 2>/dev/null \
    || (apt-get update -q && apt-get install -qy --no-install-recommends python3-venv)
COPY requirements.lock ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv /opt/installer \
    && /opt/installer/bin/pip install --quiet --no-cache-dir "$(grep '^uv==' requirements.lock)" \
    && python3 -m venv --without-pip /opt/demlopment
COPY pyproject.toml tools/packages deploy/docker/lighten ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    ./packages /opt/installer/bin/uv "$TORCH_BACKEND" -r pyproject.toml --extra serve
COPY README.rst LICENSE ./
COPY src src
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    ./packages /opt/installer/bin/uv "$TORCH_BACKEND" --no-deps . \
    && ./lighten /opt/demlopment

FROM installer AS installer-train
# Not every builder hands these on from the stage below.
ARG PIP_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_CERT
ARG TORCH_BACKEND=cpu
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    ./packages /opt/installer/bin/uv "$TORCH_BACKEND" -r pyproject.toml \
    --extra data --extra train --extra monitor --extra web --extra samples --extra scale \
    && ./lighten /opt/demlopment

FROM installer-train AS installer-development
ARG PIP_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_CERT
ARG TORCH_BACKEND=cpu
COPY development.lock ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    ./packages /opt/installer/bin/uv "$TORCH_BACKEND" --no-deps -r development.lock \
    && ./lighten /opt/demlopment

FROM installer-train AS installer-orchestrate
ARG PIP_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_CERT
ARG TORCH_BACKEND=cpu
COPY orchestrate.lock ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    ./packages /opt/installer/bin/uv "$TORCH_BACKEND" --no-deps -r orchestrate.lock \
    && ./lighten /opt/demlopment

FROM base AS runtime
LABEL org.opencontainers.image.title="deMLopment" \
      org.opencontainers.image.description="Machine learning in production, from data to endpoint and back" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="0.1.0"
ARG REVISION=unknown
LABEL org.opencontainers.image.revision=${REVISION}
COPY --chmod=0555 deploy/docker/healthy /usr/local/bin/healthy
USER 10001:10001
WORKDIR /var/lib/demlopment
VOLUME /var/lib/demlopment
EXPOSE 8080 8081 8082
STOPSIGNAL SIGTERM
ENTRYPOINT ["demlopment"]

FROM runtime AS serve
COPY --from=installer /opt/demlopment /opt/demlopment
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["healthy"]
CMD ["serve"]

FROM runtime AS train
COPY --from=installer-train /opt/demlopment /opt/demlopment
CMD ["train"]

FROM runtime AS development
COPY --from=installer-development /opt/demlopment /opt/demlopment
CMD ["--help"]

FROM runtime AS orchestrate
COPY --from=installer-orchestrate /opt/demlopment /opt/demlopment
CMD ["schedule", "--host", "0.0.0.0"]

FROM train AS demlopment
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["healthy"]
CMD ["demo"]
