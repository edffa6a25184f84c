"""The tests are a package of their own, so that none that a dependency installs under the same name is taken for it."""
