"""Judges interchanges by pyx12, which knows envelopes of every set, the structure of a 997 and the types and lengths of data elements."""
import io
import json
import logging
import re
import sys

import pyx12.params
import pyx12.x12file
import pyx12.x12n_document
from pyx12.dataele import DataElements

logging.disable(logging.CRITICAL)


def envelope_errors(text):
    errors = []
    try:
        with pyx12.x12file.X12Reader(io.StringIO(text)) as reader:
            for _ in reader:
                errors += reader.pop_errors()
            reader.cleanup()
            errors += reader.pop_errors()
    except Exception as error:
        errors.append(repr(error))
    return [str(error) for error in errors]


def acknowledgement_errors(text):
    # Its guide of the 997 is that of health care: other groups and sets than those are not on its lists.
    text = re.sub(r"AK1\*[A-Z]{2}\*", "AK1*RA*", re.sub(r"AK2\*[0-9]{3}\*", "AK2*820*", text))
    said = io.StringIO()
    try:
        is_good = pyx12.x12n_document.x12n_document(PARAMS, io.StringIO(text), said, None, None)
    except Exception as error:
        return [repr(error)]
    return [] if is_good else [said.getvalue() or "pyx12 refuses it"]


def element_errors(case):
    found = DATA_ELEMENTS.get(case["number"])
    # It knows the elements of other sets, too, and not all of ours.
    if found is None:
        return []
    theirs = {"type": found["data_type"], "min": int(found["min_len"]), "max": int(found["max_len"])}
    ours = {key: case[key] for key in theirs}
    return [] if ours == theirs else [f"ours {ours}, theirs {theirs}"]


PARAMS = pyx12.params.params()
# Those that come with the package.
PARAMS.set("map_path", None)
DATA_ELEMENTS = DataElements().dataele
JUDGES = {
    "envelope": lambda case: envelope_errors(case["text"]),
    "997": lambda case: envelope_errors(case["text"]) + acknowledgement_errors(case["text"]),
    "element": element_errors,
}

failures, cases = [], json.load(sys.stdin)
for case in cases:
    errors = JUDGES[case["kind"]](case)
    if (not errors) != case["good"]:
        failures.append({"case": case, "errors": errors})
json.dump({"failures": failures, "judged": len(cases)}, sys.stdout)
