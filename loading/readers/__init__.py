"""One reader for each format. A reader yields `RawBatch`es: string columns, rejected records, raw records."""
