"""How the page calls exhibits that the paper has not."""

from raml.report.page import label


def test_exhibits_that_the_paper_has_not_are_called_by_their_names() -> None:
    assert [label(name) for name in ("times", "training")] == ["Times", "Training"]
