"""What people take away from segmentations: numbers, pictures, flags, records and DICOM objects."""
