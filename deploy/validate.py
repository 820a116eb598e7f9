"""Compose file and manifests against their specifications; called by validate.sh.

What is right must pass, and the same with one mistake must not: a validator that takes everything
says nothing.
"""

import pathlib
import sys

import compose_spec
import kubernetes_validate
import yaml

DEPLOY = pathlib.Path(__file__).parent
# Kinds of others than Kubernetes itself, whose schemas the validator does not have.
FOREIGN = {"Kustomization", "ScaledObject"}


def compose(text):
    """Reads a compose file; raises for what the specification does not allow."""
    options = compose_spec.PyOptions()
    options.apply_merge = True
    options.from_yaml(text).validate()


def manifest(document):
    """Holds one object to its kind's schema, unknown fields refused."""
    kubernetes_validate.validate(document, "1.37", strict=True)


def refuses(check, thing, mistake):
    """Whether a check refuses a thing with a mistake in it."""
    try:
        check(thing)
    except Exception:  # noqa: BLE001 - each validator has errors of its own.
        return
    sys.exit(f"validate: {mistake} was not noticed")


def main():
    text = (DEPLOY / "compose.yaml").read_text()
    compose(text)
    refuses(compose, text.replace("image:", "imagge:", 1), "a misspelt key of the compose file")
    health = text.replace("condition: service_healthy", "condition: service_well", 1)
    refuses(compose, health, "an unknown condition in the compose file")
    passed, left = 0, []
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        for document in filter(None, yaml.safe_load_all(path.read_text())):
            if document["kind"] in FOREIGN:
                left.append(f"{path.name}: {document['kind']}")
                continue
            manifest(document)
            refuses(manifest, {**document, "misspelt": 1}, f"an unknown field of {path.name}")
            passed += 1
    print(f"validate: compose.yaml, {passed} Kubernetes objects; no schema here for", ", ".join(left))


main()
