"""Files of samples: the tar format, storage, downloads, checksums and their cache."""
