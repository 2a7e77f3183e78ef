"""Bridges to other packages of the ecosystem, one file each; a package is imported when used."""
