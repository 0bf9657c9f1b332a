"""Every method has a look of its own."""

from benchmark.report.style import LOOKS, look


def test_every_method_has_a_look_of_its_own():
    marks = {(own.colour, own.mark) for own in LOOKS.values()}
    dashes = {(own.colour, own.dash) for own in LOOKS.values()}
    assert len(marks) == len(dashes) == len(LOOKS)
    assert all(own.dash != ":" for own in LOOKS.values())
    assert look("eap component").colour == look("eap").colour
    assert look("eap component") != look("eap") == LOOKS["eap"]
    assert look("something else") == look("something else")
