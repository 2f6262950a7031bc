"""What is shipped has only licences that somebody has read."""

from email.message import Message

import pytest

from scripts.deployment import licences


def facts(**headers: str) -> Message:
    message = Message()
    for name, value in ({"Name": "thing", "Version": "1"} | headers).items():
        message[name.replace("_", "-")] = value
    return message


def test_every_package_is_listed_with_a_known_licence():
    """Every package of the zips and of the image."""
    assert licences.PAGE.read_text(encoding="utf-8") == licences.page(), "run: make licences"


@pytest.mark.parametrize(
    ("headers", "licence"),
    [
        ({"License_Expression": "MIT"}, "MIT"),
        ({"License_Expression": "Apache-2.0 OR BSD-2-Clause"}, "Apache-2.0 OR BSD-2-Clause"),
        ({"License": "3-Clause BSD License"}, "BSD-3-Clause"),
    ],
)
def test_a_known_licence_is_named_as_spdx(headers, licence):
    assert licences.declared(facts(**headers)) == licence


@pytest.mark.parametrize(
    "headers", [{}, {"License": "Proprietary"}, {"License_Expression": "MIT AND GPL-3.0-only"}]
)
def test_an_unknown_licence_is_an_error_that_says_what_to_do(headers):
    with pytest.raises(licences.UnknownLicence, match="thing 1 stands under"):
        licences.declared(facts(**headers))
