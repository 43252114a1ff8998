//! Placeholder: the SPI command layer follows.
