import pytest
from support.made.pages import started_browser


@pytest.fixture(scope="session")
def browser():
    """One for all tests; they are skipped where there is none."""
    started = started_browser()
    yield started
    started.quit()
