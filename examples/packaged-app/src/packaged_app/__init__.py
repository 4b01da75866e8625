"""An application that is packaged, has dependencies, and is started by a console entry."""
