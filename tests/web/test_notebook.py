"""A cell's drawing stands alone: it is a whole file, as large as what is in it, and says what it shows."""

from xml.etree import ElementTree

import numpy as np

from demlopment.web import charts, notebook


def test_charts_stand_side_by_side_and_inside() -> None:
    chart = charts.line_chart(
        [charts.Line("loss", [(1.0, 0.5), (2.0, 0.3)])], charts.loss_axis([0.5, 0.3]), label="a < b", x_name="x"
    )

    root = ElementTree.fromstring(notebook.drawn(chart, chart)._repr_svg_())

    inner = [each for each in root.iter() if each.tag.endswith("svg") and each is not root]
    lefts = [float(each.attrib["transform"].split("(")[1].split()[0]) for each in root if "transform" in each.attrib]
    assert root.attrib["aria-label"] == "a < b; a < b"
    assert len(inner) == 2
    assert lefts[1] >= lefts[0] + float(inner[0].attrib["width"])
    assert float(root.attrib["width"]) >= lefts[1] + float(inner[1].attrib["width"])


def test_pictures_keep_their_shape_and_have_their_captions() -> None:
    wide, tall = np.zeros((10, 40), np.uint8), np.zeros((40, 10), np.uint8)

    root = ElementTree.fromstring(notebook.pictures([wide, tall], ["one", "two & three"], size=80).svg)

    sizes = [(each.attrib["width"], each.attrib["height"]) for each in root.iter() if each.tag.endswith("image")]
    assert sizes == [("80", "20"), ("80", "320")]
    assert float(root.attrib["height"]) > 320
    assert [each.text for each in root.iter() if each.tag.endswith("text")] == ["one", "two & three"]
