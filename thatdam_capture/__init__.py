"""The recorder: finds cameras, records them whole into the watched store and shows them live."""
