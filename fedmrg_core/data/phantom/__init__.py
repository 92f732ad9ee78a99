"""The embedded default data set: procedural chest films and grammar-written reports of invented hospitals.

It exists so that a fresh machine can run every algorithm in minutes. It is no substitute for real films: see
docs/phantom.md. `python -m fedmrg_core.data.phantom.sheet --seed 0 --out sheet.png` draws a page of it.
"""

from fedmrg_core.data.phantom.config import PhantomConfig as PhantomConfig
from fedmrg_core.data.phantom.source import PhantomSource as PhantomSource
from fedmrg_core.data.phantom.source import PublicCorpus as PublicCorpus
