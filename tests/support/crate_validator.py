"""Validate an RO-Crate by roc-validator without a network: the JSON-LD context is read from a file.

    python -m venv DIR && DIR/bin/pip install roc-validator==0.13.0
    DIR/bin/python tests/support/crate_validator.py CONTEXT.jsonld CRATE [REQUIRED | RECOMMENDED]

It needs an environment of its own, as it wants an older rich. It is run by `test_archive` where the variable
``ROC_VALIDATOR_PYTHON`` names its Python. The package rocrate brings the context.
"""

import sys
from pathlib import Path


def serve_context_only(context):
    """Let the libraries of the validator get the context from a file, and reach no other address."""
    import requests
    import requests_cache

    def send(self, request, **options):
        if not (request.url.startswith("https://w3id.org/ro/crate/") and request.url.endswith("/context")):
            raise requests.ConnectionError(f"no network: {request.url}")
        answer = requests.Response()
        answer.status_code, answer.url, answer._content = 200, request.url, Path(context).read_bytes()
        answer.headers["Content-Type"] = "application/ld+json"
        return answer

    requests.Session.send = requests_cache.CachedSession.send = send


def main(context, crate, severity="REQUIRED"):
    """Print what is wrong with a crate and return the exit code."""
    serve_context_only(context)
    from rocrate_validator import models, services

    settings = services.ValidationSettings(
        rocrate_uri=models.URI(crate),
        profile_identifier="process-run-crate",
        requirement_severity=models.Severity[severity],
    )
    result = services.validate(settings)
    for issue in result.get_issues():
        print(issue.severity, issue.check.identifier, issue.message)
    return 0 if result.passed() else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
