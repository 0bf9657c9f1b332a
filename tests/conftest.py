"""What all processes of the tests share, of which the first may only hand them out to workers."""

import gc
import os
import signal
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
# An empty cache, so that a model that happens to be there changes no test.
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="ablation-bench-hub-")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
QUICK_PART = "not slow"
LONGEST = (
    "tests/run/grid/test_jobs.py",
    "tests/contracts/test_circuit_methods.py",
    "tests/pretraining/test_compiled.py",
    "tests/pretraining/test_known_circuit.py",
    "tests/ablations/test_optimal.py",
    "tests/contracts/test_tasks.py",
)


def pytest_addoption(parser):
    parser.addoption(
        "--whole-campaign", action="store_true", help="try every fault of tests/campaign, not a few"
    )
    parser.addoption(
        "--campaign-part",
        metavar="K/N",
        help="try every N-th kill and full disk of tests/campaign from the K-th on, K in 1..N",
    )


def pytest_configure(config):
    """Only a process that runs tests imports what they need: not one that hands them to workers."""
    if config.getoption("dist", "no") != "no":
        return
    # What modules leave stays; to look for garbage in it takes a third of the time of collection.
    gc.disable()
    # They take a third of the quick part's time, and the whole suite checks them in its tests.
    if config.getoption("markexpr") != QUICK_PART:
        from support.shapes import check_signatures

        check_signatures()
    config.pluginmanager.import_plugin("support.fixtures")
    # Ignored where a shell started the tests in its background, which their commands would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish():
    """Garbage is looked for in what tests leave, and not in all modules again and again."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items):
    """The longest files begin first, so that none is left to one worker at the end."""
    items.sort(key=lambda item: item.nodeid.partition("::")[0] not in LONGEST)
