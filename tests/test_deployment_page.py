"""
What docs/deployment.rst tells people to write can be used.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist import config
from tests.interop.pages import Page, sections


class DeploymentPageTests(SynchronousTestCase):
    def test_configurations(self) -> None:
        """
        Each way to deploy siptwist has a configuration without a problem or a warning, and rules.
        """
        titles = [title for title in sections() if title != "Deployment"]
        self.assertEqual(len(titles), 7)
        for title in titles:
            page = Page(title)
            self.assertTrue(page.rules, title)
            self.assertTrue(page.texts, title)
            for text in page.texts:
                self.assertEqual(config.parse(text).notes, (), title)
