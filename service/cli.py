"""Command line."""


def main() -> None:
    """Replaced soon."""
