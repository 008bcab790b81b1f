import json
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.data import scan as scan_module
from mixopt.data.scan import document_hash, scan_domain


def scan(texts, share=0.2, most=10**6, sample=0):
    return scan_domain("web", texts, validation_share=share, validation_bytes=most, sample_bytes=sample)


@pytest.mark.slow
@given(
    texts=st.lists(st.text("abc", min_size=1, max_size=30), min_size=2).filter(lambda t: len(set(t)) > 1),
    share=st.floats(0.01, 0.9),
    most=st.integers(1, 200),
)
def test_validation_is_the_same_as_by_sorting_everything(texts, share, most):
    """The reference keeps all hashes, sorts them, and takes what fits."""
    sizes = {document_hash(text.encode()): len(text) for text in texts}
    copies = Counter(document_hash(text.encode()) for text in texts)
    share_left, most_left, seen, expected = share * sum(map(len, texts)), most, 0, []
    for key in sorted(key for key in sizes if sizes[key] <= most):
        if seen >= most:  # the bounded set ends with the document that passes the limit
            break
        seen += sizes[key]
        if sizes[key] * copies[key] <= share_left and sizes[key] <= most_left:
            expected.append(key)
            share_left -= sizes[key] * copies[key]
            most_left -= sizes[key]
    shortest = min((size, key) for key, size in sizes.items())[1]
    found = scan(texts, share, most)
    assert found.validation == (tuple(expected) or (shortest,))
    assert (found.documents, found.bytes) == (len(texts), sum(map(len, texts)))
    assert 0 < len(found.validation) < len(sizes)


def test_sample_takes_the_bytes_asked_for_and_is_uniform():
    texts = [f"{n:04} " + "x" * 95 for n in range(2000)]
    sample = [text for _, text in scan(texts, sample=40_000).sample]
    assert len(sample) == 400
    assert 800 < sum(int(text[:4]) for text in sample) / 400 < 1200  # 1,000 by chance, 29 standard error
    assert all(document_hash(text.encode()) == key for key, text in scan(texts, sample=40_000).sample)


def test_documents_held_are_few_however_short_they_are(monkeypatch):
    monkeypatch.setattr(scan_module, "MAX_VALIDATION_DOCUMENTS", 50)
    assert len(scan([str(n) for n in range(5000)], share=0.5).validation) == 50


_MEASURE = """
import json, resource, sys
from mixopt.data.scan import scan_domain
texts = (f"{n} " + "word " * 400 for n in range(int(sys.argv[1])))
scan_domain("web", texts, validation_share=0.05, validation_bytes=1_000_000, sample_bytes=1_000_000)
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_corpus():
    """20 MB and 200 MB of text: the peak may differ by a few MB only."""
    peaks = [
        json.loads(subprocess.run([sys.executable, "-c", _MEASURE, str(n)], capture_output=True, check=True).stdout)
        for n in (10_000, 100_000)
    ]
    assert peaks[1] - peaks[0] < 10_000  # kB
