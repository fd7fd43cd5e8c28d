"""Options of fonts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from zoo.spec.options import Options

LATIN_PACKAGES = ("fonts-comic-neue", "fonts-dejavu-core", "fonts-freefont-ttf", "fonts-liberation")
PackageName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]{1,60}$")]
REFUSED_PACKAGES = {"fonts-humor-sans": "draws capitals for small letters, so that labels would be wrong"}


class FontOptions(Options):
    """Where fonts come from, and which are held out of training.

    A group of fonts is all styles of one family; families that share a file are one group.
    """

    packages: list[PackageName] = Field(
        default=list(LATIN_PACKAGES), description="Debian packages of fonts, fetched and unpacked, never installed"
    )
    folders: list[str] = Field(default=[], description="Own folders of .ttf, .otf and .ttc files, searched through")
    system: bool = Field(default=False, description="Take the fonts that are installed on this machine too")
    families: list[str] = Field(default=[], description="Families that are taken, of those found; all where empty")
    exclude: list[str] = Field(default=[], description="Families that are left out")
    held_out: float = Field(
        default=0.2,
        ge=0,
        lt=0.5,
        description="Share of the groups, at least one, that dev has for itself, and as many again that test has; 0: "
        "all splits have all fonts",
    )
    dev: list[str] = Field(default=[], description="Families that dev has for itself; drawn by their names where empty")
    test: list[str] = Field(default=[], description="Families that test has for itself; drawn likewise")
    min_coverage: float = Field(
        default=0.98, ge=0, le=1, description="Least share of the text's characters that a font must have"
    )

    @field_validator("packages")
    @classmethod
    def _none_is_refused(cls, packages: list[str]) -> list[str]:
        for package in packages:
            if package in REFUSED_PACKAGES:
                raise ValueError(f"package {package} {REFUSED_PACKAGES[package]}")
        return packages
