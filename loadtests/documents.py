"""How fast are key set and metadata served, and do they save who asks whether they have changed?

locust -f loadtests/documents.py --target lab --rate 50 -u 20
"""

from locust import task

from jwtdrill.load.flows import DocumentReader


class Reading(DocumentReader):
    """A verifier that looks after the keys, and now and then starts anew with the metadata."""

    @task(9)
    def look_at_keys(self) -> None:
        """The key set, if it has changed (RFC 9110 section 13)."""
        self.read(self.keys)

    @task(1)
    def look_at_metadata(self) -> None:
        """Where everything is (RFC 8414)."""
        self.read(self.metadata)
