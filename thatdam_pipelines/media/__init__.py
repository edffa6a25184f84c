"""What a media file is: probe, proxy, frames, measures, scenes, sound, stills, camera cards."""
