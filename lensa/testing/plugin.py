"""The pytest plugin: it registers the fixtures. Imported by every pytest run, so it stays light."""
