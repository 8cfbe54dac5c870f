"""What `./baton test` lets pytest do."""

from cli.checks import pytest_command


def words(*args: str) -> str:
    return " ".join(pytest_command(args)[2:])


def test_the_whole_run_is_shared_out_and_needs_both_servers() -> None:
    assert words() == "pytest --servers -n 2 --dist worksteal"


def test_a_quick_run_has_the_unit_tests_and_no_server() -> None:
    assert words("--quick") == "pytest tests/unit -n 2 --dist worksteal"


def test_chosen_tests_run_in_one_process() -> None:
    assert words("tests/unit", "-k", "killed") == "pytest --servers tests/unit -k killed"
    assert words("--quick", "-x") == "pytest tests/unit -x"


def test_coverage_is_for_those_who_ask_and_takes_no_word_that_follows_it() -> None:
    cov = "pytest --servers --cov --cov-report=term"
    assert words("--cov", "tests/unit") == f"{cov} tests/unit"
    assert words("--cov") == f"{cov} -n 2 --dist worksteal"
