#!/usr/bin/env python3
"""Starts deploy/compose.yaml for real, under a name of its own, and lives through a day with it: an
alert over the front to a citizen's stream, a broker, a worker and a gateway killed, an alert again,
every container made anew over the same volumes, and Prometheus asked whether it sees all of them.
Then everything is taken down, volumes too.

With STANDINS=1 the images are those of deploy/standins.sh. Needs podman, or docker with its compose
plugin, port 8080, and the right to kill the containers' processes.
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIR = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "rehearsal"
PROJECT = "loa-rehearsal"
FRONT = "http://127.0.0.1:8080"
PODMAN_COMPOSE = "podman-compose==1.6.0"
ALERT = ROOT / "src/simulator/alerts/metro-station-smoke.xml"
# The unit that this alert is for.
UNIT = "26743"
# How long anything may take on a busy machine; no promise.
PATIENCE = 300
NODES = ["desk", "router", "fanout", "gateway"]
SERVICES = ["kafka-1", "kafka-2", "kafka-3", "redis", "redis-replica", "topics", *NODES, "front", "prometheus"]


def say(*words):
    print("rehearse:", *words, file=sys.stderr, flush=True)


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, **more)
    if done.returncode:
        raise SystemExit(f"rehearse: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def eventually(what, look):
    """Waits until `look` answers something, and says how long that took."""
    began, last = time.monotonic(), None
    while time.monotonic() < began + PATIENCE:
        try:
            found = look()
            if found:
                say(f"{what}: after {time.monotonic() - began:.1f} s")
                return found
        except (OSError, ValueError, KeyError) as error:
            last = error
        time.sleep(0.25)
    raise SystemExit(f"rehearse: not within {PATIENCE} s: {what} ({last})")


class Stack:
    """The containers."""

    def __init__(self):
        DIR.mkdir(parents=True, exist_ok=True)
        self.engine = "podman" if shutil.which("podman") else "docker"
        self.services = list(SERVICES)
        if os.environ.get("STANDINS") == "1":
            say("grafana is left out: it has no stand-in")
            run("deploy/standins.sh")
        else:
            self.services.append("grafana")
        # A machine may allow fewer open files than the compose file asks for.
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        files = 1048576 if files == resource.RLIM_INFINITY else min(files, 1048576)
        override = DIR / "override.yaml"
        limits = f"{{ nofile: {files}, nproc: 4096 }}"
        override.write_text(f"services:\n  gateway: {{ ulimits: {limits} }}\n")
        files = ["-p", PROJECT, "-f", "deploy/compose.yaml", "-f", str(override)]
        self.compose = [*self.composer(), *files]
        os.environ["LOA_REDIS_PASSWORD"] = "rehearsal"
        (ROOT / "deploy/secrets").mkdir(exist_ok=True)

    def composer(self):
        if self.engine == "docker":
            return ["docker", "compose"]
        python = DIR / "python"
        mark = DIR / "installed"
        if not mark.exists() or mark.read_text() != PODMAN_COMPOSE:
            say("installing", PODMAN_COMPOSE)
            run(sys.executable, "-m", "venv", python)
            run(python / "bin/pip", "install", "-q", "--disable-pip-version-check", PODMAN_COMPOSE)
            mark.write_text(PODMAN_COMPOSE)
        return [str(python / "bin/podman-compose")]

    def up(self):
        """Starts all in the order that the file asks for: not every composer waits by itself."""
        first = ["kafka-1", "kafka-2", "kafka-3", "redis"]
        rest = [one for one in self.services if one not in [*first, "topics"]]
        self.start(*first)
        eventually("Redis is healthy", lambda: self.is_healthy("redis"))
        self.start("topics")
        eventually("the topics are made", lambda: self.state("topics") == "exited 0")
        self.start(*rest)
        for service in NODES:
            eventually(f"{service} is healthy", lambda one=service: self.is_healthy(one))

    def start(self, *services):
        run(*self.compose, "up", "-d", "--no-deps", *services)

    def state(self, service):
        form = "{{.State.Status}} {{.State.ExitCode}}"
        return run(self.engine, "inspect", "-f", form, self.container(service))

    def is_healthy(self, service):
        """Whether a container's own check succeeds, asked now: not every engine asks by itself."""
        name = self.container(service)
        if self.engine == "docker":
            return run("docker", "inspect", "-f", "{{.State.Health.Status}}", name) == "healthy"
        return subprocess.run(["podman", "healthcheck", "run", name], capture_output=True).returncode == 0

    def down(self, *more):
        run(*self.compose, "down", "-t", "20", *more)

    def container(self, service, number=1):
        """A container's name, which the two engines write differently."""
        names = run(self.engine, "ps", "-a", "--format", "{{.Names}}").split()
        wanted = [f"{PROJECT}{mark}{service}{mark}{number}" for mark in "-_"]
        return next(name for name in names if name in wanted)

    def containers(self, services):
        """Every container of some services; not every composer starts as many as the file says."""
        names = run(self.engine, "ps", "-a", "--format", "{{.Names}}").split()
        ours = [name for name in names if name.startswith(PROJECT)]
        of = [name[len(PROJECT) + 1 :].rstrip("0123456789").rstrip("-_") for name in ours]
        return [name for name, service in zip(ours, of) if service in services]

    def at(self, service, number=1):
        """A container's own address."""
        networks = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return run(self.engine, "inspect", "-f", networks, self.container(service, number))

    def kill(self, service, number=1):
        """A crash: an engine that is asked to kill takes it for a stop, and restarts nothing."""
        pid = run(self.engine, "inspect", "-f", "{{.State.Pid}}", self.container(service, number))
        os.kill(int(pid), signal.SIGKILL)

    def loa(self, *words):
        return run(self.engine, "exec", self.container("desk"), "loa", *words)

    def tell(self):
        """The last words of every node, for whoever reads why it failed."""
        for name in self.containers([*NODES, "topics", "front", "kafka-1", "redis"]):
            said = subprocess.run(
                [self.engine, "logs", "--tail", "15", name], capture_output=True, text=True
            )
            print(f"--- {name}\n{said.stdout}{said.stderr}", file=sys.stderr)


def ask(path, body=None, headers=None, base=FRONT):
    """A request's status and text."""
    request = urllib.request.Request(base + path, data=body, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def wanted(status, path, **more):
    got, text = ask(path, **more)
    if got != status:
        raise OSError(f"{path}: {got} instead of {status}: {text[:300]}")
    return text


class Citizen:
    """A device with an open event stream, which it opens again whenever it ends."""

    def __init__(self):
        body = json.dumps({"places": [{"unit": UNIT}], "languages": ["vi"]}).encode()
        kind = {"Content-Type": "application/json"}
        device = json.loads(wanted(201, "/v1/devices", body=body, headers=kind))
        self.headers = {"Authorization": f"Loa-Device {device['id']}:{device['secret']}"}
        self.given, self.last, self.opened = [], None, 0
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            headers = {**self.headers, **({"Last-Event-ID": self.last} if self.last else {})}
            try:
                request = urllib.request.Request(FRONT + "/v1/events", headers=headers)
                with urllib.request.urlopen(request, timeout=60) as stream:
                    self.opened += 1
                    for line in stream:
                        self.take(line.decode().strip())
            except OSError:
                pass
            time.sleep(0.2)

    def take(self, line):
        if line.startswith("id:"):
            self.last = line[3:].strip()
        if line.startswith("data:"):
            event = json.loads(line[5:])
            if event.get("type") == "publication":
                self.given.append(event["publication"]["id"])


class Agency:
    """Publishes over the front."""

    def __init__(self, stack):
        stack.loa("agencies", "put", "rehearsal", "--name", "rehearsal", "--operator")
        said = stack.loa("agencies", "key", "rehearsal")
        self.key = next(word for word in said.split() if word.startswith("loa_"))
        self.number = 0

    def headers(self, **more):
        return {"Authorization": f"Bearer {self.key}", **more}

    def publish(self):
        self.number += 1
        now = datetime.now(timezone.utc).replace(microsecond=0)
        text = ALERT.read_text()
        for name, value in {
            "identifier": f"rehearsal-{self.number}-{int(now.timestamp())}",
            "sent": now.isoformat(),
            "expires": (now + timedelta(hours=2)).isoformat(),
        }.items():
            text = text.replace("{{" + name + "}}", value)
        headers = self.headers(**{"Content-Type": "application/cap+xml"})
        return json.loads(wanted(202, "/v1/alerts", body=text.encode(), headers=headers))["id"]

    def received(self, id):
        text = wanted(200, f"/v1/publications/{id}", headers=self.headers())
        return json.loads(text)


def reaches(agency, citizen, what):
    id = eventually(f"{what}: accepted", agency.publish)
    eventually(f"{what}: on the citizen's stream", lambda: id in citizen.given)
    return id


def live():
    alerts = json.loads(wanted(200, f"/v1/alerts/active?unit={UNIT}"))
    return {alert["id"] for alert in alerts["alerts"]}


def pages():
    for path, status in {"/": 200, "/console": 200, "/plain": 200, "/metrics": 404, "/readyz": 404}.items():
        wanted(status, path)
    wanted(200, "/.well-known/jwks.json")
    say("pages of citizens and console over the front, and no metrics")


def watched(stack):
    """Whether Prometheus scrapes every node and has read the rules."""
    base = f"http://{stack.at('prometheus')}:9090"
    targets = json.loads(wanted(200, "/api/v1/targets?state=active", base=base))["data"]["activeTargets"]
    up = sum(target["health"] == "up" for target in targets)
    rules = json.loads(wanted(200, "/api/v1/rules", base=base))["data"]["groups"]
    count = sum(len(group["rules"]) for group in rules)
    return (up, count) if up == len(stack.containers(NODES)) and count else None


def day(stack):
    stack.up()
    eventually("the front leads to a desk", lambda: wanted(200, "/console"))
    eventually("the front leads to a gateway", lambda: wanted(200, "/"))
    pages()
    agency = Agency(stack)
    citizen = eventually("a device is registered", Citizen)
    eventually("its stream is open", lambda: citizen.opened)
    first = reaches(agency, citizen, "an alert")
    up, rules = eventually("Prometheus sees every node", lambda: watched(stack))
    say(f"Prometheus: {up} nodes up, {rules} rules")
    for service in ["kafka-2", "fanout", "gateway", "router"]:
        stack.kill(service)
    say("killed: a broker, a worker, a gateway, a router")
    second = reaches(agency, citizen, "an alert after the kills")
    say("every container anew, over the same volumes")
    stack.down()
    stack.up()
    eventually("both alerts are live still", lambda: {first, second} <= live())
    eventually("its stream is open again", lambda: citizen.opened > 1)
    third = reaches(agency, citizen, "an alert after it")
    twice = [id for id in {first, second, third} if citizen.given.count(id) > 1]
    say(f"{len(citizen.given)} events for 3 alerts, given again: {len(twice)}")
    if missing := {first, second, third} - set(citizen.given):
        raise SystemExit(f"rehearse: never given: {missing}")


def main():
    stack = Stack()
    stack.down("-v")
    try:
        day(stack)
    except BaseException:
        stack.tell()
        raise
    finally:
        stack.down("-v")
    say("done")


main()
