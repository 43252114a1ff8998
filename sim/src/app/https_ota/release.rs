//! What differs between ESP-IDF releases in `esp_https_ota`, one row for each that changed something. By source only:
//! UNVERIFIED. Wording that differs is [`crate::uart`]'s.

use dryburn::IdfVersion;

/// The rules of one release line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    since: (u8, u8),
    /// Bytes that are read ahead for the header check; the smallest read buffer, too.
    pub header_size: usize,
    /// The first bytes are read before anything is written, and checked for the chip.
    pub checks_header: bool,
    /// `esp_https_ota_get_img_desc` checks the descriptor's magic word.
    pub checks_descriptor_magic: bool,
    /// Sectors are erased as they are reached; before, the whole slot first.
    pub sequential: bool,
    /// A line tells the end of the download.
    pub tells_the_end: bool,
    /// `partial_http_download` is there.
    pub partial: bool,
    /// A server that refuses HEAD is asked for one byte instead.
    pub length_without_head: bool,
    /// `ota_resumption` is there.
    pub resumption: bool,
    /// 304 and 416 have lines and codes of their own.
    pub names_304_and_416: bool,
}

const IDF_4_0: Release = Release {
    since: (0, 0),
    header_size: 289,
    checks_header: false,
    checks_descriptor_magic: false,
    sequential: false,
    tells_the_end: true,
    partial: false,
    length_without_head: false,
    resumption: false,
    names_304_and_416: false,
};
const IDF_4_3: Release = Release { since: (4, 3), header_size: 1024, checks_header: true, sequential: true, ..IDF_4_0 };
const IDF_4_4: Release = Release { since: (4, 4), partial: true, ..IDF_4_3 };
const IDF_5_0: Release = Release { since: (5, 0), checks_descriptor_magic: true, tells_the_end: false, ..IDF_4_4 };
const IDF_5_5: Release =
    Release { since: (5, 5), length_without_head: true, resumption: true, names_304_and_416: true, ..IDF_5_0 };

const RELEASES: [Release; 4] = [IDF_4_3, IDF_4_4, IDF_5_0, IDF_5_5];

impl Release {
    /// The rules of `idf`.
    pub fn of(idf: IdfVersion) -> &'static Self {
        const OLDEST: &Release = &IDF_4_0;
        RELEASES.iter().rfind(|row| idf.since(row.since.0, row.since.1)).unwrap_or(OLDEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_release_finds_its_row() {
        assert!(RELEASES.map(|row| row.since).is_sorted());
        assert_eq!(Release::of(IdfVersion::new(4, 2)), &IDF_4_0);
        assert_eq!(Release::of(IdfVersion::new(5, 4)), &IDF_5_0);
        assert_eq!(Release::of(IdfVersion::LATEST), &IDF_5_5);
    }
}
