//! The names that the tool gives to CPU addresses (formats sheet §1.3, boundaries checked against the tool, 5.6.0).
//!
//! These are the tool's ranges, not the bootloader's: what may be loaded where is in `dryburn::chip`.

use dryburn::Chip;

/// First address, the address behind the last, name; in the order in which the tool prints them.
type Map = [(u32, u32, &'static str)];

const ESP32: &Map = &[
    (0x0000_0000, 0x0001_0000, "PADDING"),
    (0x3F40_0000, 0x3F80_0000, "DROM"),
    (0x3F80_0000, 0x3FC0_0000, "EXTRAM_DATA"),
    (0x3FF8_0000, 0x3FF8_2000, "RTC_DRAM"),
    (0x3FF9_0000, 0x4000_0000, "BYTE_ACCESSIBLE"),
    (0x3FFA_E000, 0x4000_0000, "DRAM"),
    (0x3FFE_0000, 0x3FFF_FFFC, "DIRAM_DRAM"),
    (0x4000_0000, 0x4007_0000, "IROM"),
    (0x4007_0000, 0x4007_8000, "CACHE_PRO"),
    (0x4007_8000, 0x4008_0000, "CACHE_APP"),
    (0x4008_0000, 0x400A_0000, "IRAM"),
    (0x400A_0000, 0x400B_FFFC, "DIRAM_IRAM"),
    (0x400C_0000, 0x400C_2000, "RTC_IRAM"),
    (0x400D_0000, 0x4040_0000, "IROM"),
    (0x5000_0000, 0x5000_2000, "RTC_DATA"),
];

const S2: &Map = &[
    (0x0000_0000, 0x0001_0000, "PADDING"),
    (0x3F00_0000, 0x3FF8_0000, "DROM"),
    (0x3F50_0000, 0x3FF8_0000, "EXTRAM_DATA"),
    (0x3FF9_E000, 0x3FFA_0000, "RTC_DRAM"),
    (0x3FF9_E000, 0x4000_0000, "BYTE_ACCESSIBLE"),
    (0x3FF9_E000, 0x4007_2000, "MEM_INTERNAL"),
    (0x3FFB_0000, 0x4000_0000, "DRAM"),
    (0x4000_0000, 0x4001_A100, "IROM_MASK"),
    (0x4002_0000, 0x4007_0000, "IRAM"),
    (0x4007_0000, 0x4007_2000, "RTC_IRAM"),
    (0x4008_0000, 0x4080_0000, "IROM"),
    (0x5000_0000, 0x5000_2000, "RTC_DATA"),
];

const S3: &Map = &[
    (0x0000_0000, 0x0001_0000, "PADDING"),
    (0x3C00_0000, 0x3D00_0000, "DROM"),
    (0x3D00_0000, 0x3E00_0000, "EXTRAM_DATA"),
    (0x600F_E000, 0x6010_0000, "RTC_DRAM"),
    (0x3FC8_8000, 0x3FD0_0000, "BYTE_ACCESSIBLE"),
    (0x3FC8_8000, 0x403E_2000, "MEM_INTERNAL"),
    (0x3FC8_8000, 0x3FD0_0000, "DRAM"),
    (0x4000_0000, 0x4001_A100, "IROM_MASK"),
    (0x4037_0000, 0x403E_0000, "IRAM"),
    (0x600F_E000, 0x6010_0000, "RTC_IRAM"),
    (0x4200_0000, 0x4280_0000, "IROM"),
    (0x5000_0000, 0x5000_2000, "RTC_DATA"),
];

const C3: &Map = &[
    (0x0000_0000, 0x0001_0000, "PADDING"),
    (0x3C00_0000, 0x3C80_0000, "DROM"),
    (0x3FC8_0000, 0x3FCE_0000, "DRAM"),
    (0x3FC8_8000, 0x3FD0_0000, "BYTE_ACCESSIBLE"),
    (0x3FF0_0000, 0x3FF2_0000, "DROM_MASK"),
    (0x4000_0000, 0x4006_0000, "IROM_MASK"),
    (0x4200_0000, 0x4280_0000, "IROM"),
    (0x4037_C000, 0x403E_0000, "IRAM"),
    (0x5000_0000, 0x5000_2000, "RTC_IRAM"),
    (0x5000_0000, 0x5000_2000, "RTC_DRAM"),
    (0x600F_E000, 0x6010_0000, "MEM_INTERNAL2"),
];

const C2: &Map = &[
    (0x0000_0000, 0x0001_0000, "PADDING"),
    (0x3C00_0000, 0x3C40_0000, "DROM"),
    (0x3FCA_0000, 0x3FCE_0000, "DRAM"),
    (0x3FC8_8000, 0x3FD0_0000, "BYTE_ACCESSIBLE"),
    (0x3FF0_0000, 0x3FF5_0000, "DROM_MASK"),
    (0x4000_0000, 0x4009_0000, "IROM_MASK"),
    (0x4200_0000, 0x4240_0000, "IROM"),
    (0x4037_C000, 0x403C_0000, "IRAM"),
];

/// The chips with one window for code and data: flash and RAM end, and the mask ROM is split, at other addresses.
macro_rules! shared {
    ($flash_end:literal, $ram_end:literal, $rom_split:literal, $rom_end:literal) => {
        &[
            (0x0000_0000, 0x0001_0000, "PADDING"),
            (0x4200_0000, $flash_end, "DROM"),
            (0x4080_0000, $ram_end, "DRAM"),
            (0x4080_0000, $ram_end, "BYTE_ACCESSIBLE"),
            ($rom_split, $rom_end, "DROM_MASK"),
            (0x4000_0000, $rom_split, "IROM_MASK"),
            (0x4200_0000, $flash_end, "IROM"),
            (0x4080_0000, $ram_end, "IRAM"),
            (0x5000_0000, 0x5000_4000, "RTC_IRAM"),
            (0x5000_0000, 0x5000_4000, "RTC_DRAM"),
            (0x600F_E000, 0x6010_0000, "MEM_INTERNAL2"),
        ]
    };
}

const C6: &Map = shared!(0x4300_0000, 0x4088_0000, 0x4004_AC00, 0x4005_0000);
const C61: &Map = shared!(0x4400_0000, 0x4086_0000, 0x4004_AC00, 0x4005_0000);
const C5: &Map = shared!(0x4400_0000, 0x4086_0000, 0x4003_A000, 0x4004_0000);

const P4: &Map = &[
    (0x0000_0000, 0x0001_0000, "PADDING"),
    (0x4000_0000, 0x4C00_0000, "DROM"),
    (0x4FF0_0000, 0x4FFA_0000, "DRAM"),
    (0x4FF0_0000, 0x4FFA_0000, "BYTE_ACCESSIBLE"),
    (0x4FC0_0000, 0x4FC2_0000, "DROM_MASK"),
    (0x4FC0_0000, 0x4FC2_0000, "IROM_MASK"),
    (0x4000_0000, 0x4C00_0000, "IROM"),
    (0x4FF0_0000, 0x4FFA_0000, "IRAM"),
    (0x5010_8000, 0x5011_0000, "RTC_IRAM"),
    (0x5010_8000, 0x5011_0000, "RTC_DRAM"),
    (0x600F_E000, 0x6010_0000, "MEM_INTERNAL2"),
];

/// The names of all ranges that `address` lies in.
pub fn names(chip: Chip, address: u32) -> Vec<&'static str> {
    let map = match chip {
        Chip::Esp32 => ESP32,
        Chip::Esp32s2 => S2,
        Chip::Esp32s3 => S3,
        Chip::Esp32c2 => C2,
        Chip::Esp32c3 => C3,
        Chip::Esp32c5 => C5,
        Chip::Esp32c6 | Chip::Esp32h2 => C6,
        Chip::Esp32c61 => C61,
        Chip::Esp32p4 => P4,
    };
    map.iter().filter(|(from, to, _)| (*from..*to).contains(&address)).map(|(_, _, name)| *name).collect()
}
