"""The leaderboard: a static site made from records."""

from zoo.site.build import SiteReport, build_site

__all__ = ["SiteReport", "build_site"]
