# The two commands in a container: docker build -t multiscale . && docker run -p 8000:8000 multiscale
FROM python:3.11-slim-bookworm
RUN apt-get update && apt-get install -y --no-install-recommends make binutils \
 && rm -rf /var/lib/apt/lists/*
COPY . /multiscale
WORKDIR /multiscale
RUN make env
EXPOSE 8000
CMD make book PROFILE=smoke && .venv/bin/python -m http.server 8000 --directory _build/html
