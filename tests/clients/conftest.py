"""Real processes of the service, as those of tests/service."""

from tests.service.conftest import service, start_service

__all__ = ["service", "start_service"]
