"""Settings, ids, and what is in the template for them."""

import pytest
from pydantic import ValidationError

from castari import settings
from castari.ids import new_id
from castari.settings import Limits, Settings
from tests.cloudformation import load_template

FUNCTION = load_template()["Globals"]["Function"]["Environment"]["Variables"]
NAMES = {name.upper() for name in Settings.model_fields if name != "limits"}
ENVIRONMENT = dict.fromkeys(NAMES, "x") | {
    "WARM_PER_AGENT": "2",
    "WARM_IDLE_SECONDS": "900",
    "CREATES_PER_SECOND": "5",
    "SANDBOXES_AT_ONCE": "20",
    "VERSIONS_KEPT": "10",
    "SESSION_HOURS": "24",
    "LOOPBACK_CALLBACK_PORT": "0",
    "CALLBACK_LONGEST_PAUSE_SECONDS": "36000",
}


def test_the_template_sets_every_setting_and_no_other() -> None:
    assert {name for name in FUNCTION if not name.startswith("POWERTOOLS_")} == NAMES


def test_settings_are_read_from_the_environment() -> None:
    known = settings.load(ENVIRONMENT | {"UNRELATED": "y"})
    assert (known.agents_table, known.warm_per_agent, known.limits) == ("x", 2, Limits())


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_setting_that_differs_per_stack_has_no_default(name: str) -> None:
    with pytest.raises(ValidationError, match=name.lower()):
        settings.load({key: value for key, value in ENVIRONMENT.items() if key != name})


def test_ids_say_what_they_name_and_sort_by_time() -> None:
    made = [new_id("inv") for _ in range(2000)]
    assert all(len(each) == len("inv_") + 24 and each.startswith("inv_") for each in made)
    assert len(set(made)) == len(made)
    stamps = [each[:14] for each in made]
    assert stamps == sorted(stamps)
