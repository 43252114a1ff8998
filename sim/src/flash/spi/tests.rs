use super::*;

const MB: u32 = 1024 * 1024;

fn chip() -> SpiFlash {
    SpiFlash::new(Flash::new(4 * MB).expect("a size"))
}

fn send(chip: &mut SpiFlash, bytes: &[u8]) {
    chip.transfer(bytes, &mut []);
}

/// WREN, then the command.
fn write(chip: &mut SpiFlash, bytes: &[u8]) {
    send(chip, &[0x06]);
    send(chip, bytes);
}

fn ask<const N: usize>(chip: &mut SpiFlash, bytes: &[u8]) -> [u8; N] {
    let mut reply = [0; N];
    chip.transfer(bytes, &mut reply);
    reply
}

fn byte(chip: &SpiFlash, address: u32) -> u8 {
    let mut buf = [0];
    chip.array().read(address, &mut buf).expect("inside");
    buf[0]
}

#[test]
fn jedec_id_names_the_size() {
    assert_eq!(ask::<4>(&mut chip(), &[0x9F]), [0xEF, 0x40, 0x16, 0xFF]);
    for (size, code) in [(MB / 4, 0x12), (MB, 0x14), (16 * MB, 0x18), (128 * MB, 0x1B)] {
        let mut chip = SpiFlash::new(Flash::new(size).expect("a size"));
        assert_eq!(ask::<3>(&mut chip, &[0x9F])[2], code);
    }
}

#[test]
fn wren_and_wrdi_move_wel() {
    let mut c = chip();
    assert_eq!(ask(&mut c, &[0x05]), [0]);
    send(&mut c, &[0x06]);
    assert_eq!(ask(&mut c, &[0x05]), [SR1_WEL]);
    assert_eq!(ask::<2>(&mut c, &[0x35]), [SR2_QE; 2]);
    send(&mut c, &[0x04]);
    assert_eq!(ask(&mut c, &[0x05]), [0]);
}

#[test]
fn without_wel_nothing_changes() {
    let mut c = chip();
    write(&mut c, &[0x02, 0, 0, 0, 0x00]);
    let before = c.array().clone();
    for command in
        [&[0x02, 0, 0, 1, 0][..], &[0x20, 0, 0, 0], &[0x52, 0, 0, 0], &[0xD8, 0, 0, 0], &[0xC7], &[0x60], &[0x01, 0xFC]]
    {
        send(&mut c, command);
        assert!(*c.array() == before, "{command:x?}");
    }
    assert_eq!(c.status(), [0, SR2_QE]);
}

#[test]
fn an_operation_clears_wel() {
    for command in [&[0x02, 0, 0, 1, 0][..], &[0x20, 0, 0, 0], &[0xD8, 0, 0, 0], &[0xC7], &[0x01, 0], &[0x31, 2]] {
        let mut c = chip();
        write(&mut c, command);
        assert_eq!(c.status()[0] & SR1_WEL, 0, "{command:x?}");
    }
}

#[test]
fn page_program_wraps_inside_its_page() {
    let mut c = chip();
    write(&mut c, &[0x02, 0x00, 0x12, 0xFE, 1, 2, 3, 4]);
    assert_eq!([0x12FE, 0x12FF, 0x1200, 0x1201, 0x1202, 0x1300].map(|a| byte(&c, a)), [1, 2, 3, 4, 0xFF, 0xFF]);
    assert_eq!(c.array().counters().bytes_programmed, 4);
}

#[test]
fn of_more_than_a_page_the_last_256_bytes_count() {
    let mut c = chip();
    let mut command = vec![0x02, 0, 0, 0];
    command.extend([0x00; 2]);
    command.extend([0xA5; 254]);
    command.extend([0xF7; 2]);
    write(&mut c, &command);
    // The first two were overwritten in the chip's buffer, not ANDed in the array.
    assert_eq!([0, 1, 2, 255, 256].map(|a| byte(&c, a)), [0xF7, 0xF7, 0xA5, 0xA5, 0xFF]);
}

#[test]
fn erases_clear_their_aligned_unit() {
    for (code, unit) in [(0x20, 0x1000), (0x52, 0x8000), (0xD8, 0x10000)] {
        let mut c = chip();
        let base: u32 = 0x20000;
        for at in [base - 1, base, base + unit - 1, base + unit] {
            let [_, x, y, z] = at.to_be_bytes();
            write(&mut c, &[0x02, x, y, z, 0]);
        }
        let [_, x, y, z] = (base + unit / 2 + 3).to_be_bytes();
        write(&mut c, &[code, x, y, z]);
        assert_eq!([base - 1, base, base + unit - 1, base + unit].map(|a| byte(&c, a)), [0, 0xFF, 0xFF, 0], "{code:x}");
        write(&mut c, &[0xC7]);
        assert!(*c.array() == *chip().array());
    }
}

#[test]
fn incomplete_commands_are_ignored_and_keep_wel() {
    for command in [&[0x02, 0, 0, 0][..], &[0x20, 0, 0], &[0x20, 0, 0, 0, 0], &[0xC7, 0], &[0x01], &[0x77]] {
        let mut c = chip();
        write(&mut c, command);
        assert_eq!(c.status(), [SR1_WEL, SR2_QE], "{command:x?}");
        assert_eq!(c.array().counters(), chip().array().counters());
    }
}

#[test]
fn reads_wrap_at_the_end_and_skip_the_dummy_byte() {
    let mut c = chip();
    write(&mut c, &[0x02, 0x3F, 0xFF, 0xFF, 7]);
    write(&mut c, &[0x02, 0, 0, 0, 8]);
    assert_eq!(ask::<3>(&mut c, &[0x03, 0x3F, 0xFF, 0xFF]), [7, 8, 0xFF]);
    assert_eq!(ask::<2>(&mut c, &[0x0B, 0x3F, 0xFF, 0xFF, 0]), [7, 8]);
}

#[test]
fn protected_areas_ignore_program_and_erase_in_silence() {
    let mut c = chip();
    write(&mut c, &[0x02, 0x3F, 0, 0, 0x5A]);
    write(&mut c, &[0x01, 1 << 2]); // BP = 1: the top 64 KB
    let before = c.array().clone();
    for command in [&[0x02, 0x3F, 0, 0, 0][..], &[0x20, 0x3F, 0, 0], &[0xD8, 0x3F, 0, 0], &[0xC7]] {
        write(&mut c, command);
        assert!(*c.array() == before, "{command:x?}");
        assert_eq!(c.status()[0] & SR1_WEL, SR1_WEL, "a refused command leaves WEL set");
    }
    write(&mut c, &[0x02, 0x3E, 0xFF, 0xFF, 0]);
    assert_eq!(byte(&c, 0x3E_FFFF), 0, "one byte below is free");
}

#[test]
fn protection_ranges_of_the_w25q32() {
    let range = |bp: u8, bits: u8, cmp: bool| protected(bp << 2 | bits, if cmp { SR2_CMP } else { 0 }, 4 * MB);
    assert_eq!(range(0, 0, false), None);
    assert_eq!(range(0, 0, true), Some(0..4 * MB));
    assert_eq!(range(7, 0, false), Some(0..4 * MB));
    assert_eq!(range(7, SR1_SEC | SR1_TB, true), None);
    assert_eq!(range(1, 0, false), Some(0x3F_0000..0x40_0000));
    assert_eq!(range(6, 0, false), Some(0x20_0000..0x40_0000));
    assert_eq!(range(3, SR1_TB, false), Some(0..0x04_0000));
    assert_eq!(range(1, SR1_SEC, false), Some(0x3F_F000..0x40_0000));
    assert_eq!(range(5, SR1_SEC | SR1_TB, false), Some(0..0x8000));
    assert_eq!(range(2, SR1_TB, true), Some(0x02_0000..0x40_0000));
    assert_eq!(range(2, SR1_SEC, true), Some(0..0x3F_E000));
    assert_eq!(protected(6 << 2, 0, 2 * MB), Some(0..2 * MB), "W25Q16: 110 is everything");
    assert_eq!(protected(1 << 2, 0, 16 * MB), Some(0xFC_0000..0x100_0000), "W25Q128: 1/64 is 256 KB");
}

#[test]
fn status_writes_keep_read_only_bits_and_otp_locks() {
    let mut c = chip();
    write(&mut c, &[0x01, 0xFF, 0xFF]);
    assert_eq!(c.status(), [0xFC, SR2_SRL | SR2_QE | SR2_LB | SR2_CMP]);
    write(&mut c, &[0x01, 0, 0]);
    assert_eq!(c.status()[0], 0xFC | SR1_WEL, "SRL locks the registers");
    c.power_cycle();
    write(&mut c, &[0x01, 0, 0]);
    assert_eq!(c.status(), [0, SR2_LB], "LB1-3 are one-time programmable");
}

#[test]
fn writing_one_byte_keeps_register_2() {
    let mut c = chip();
    write(&mut c, &[0x31, SR2_QE | SR2_CMP]);
    write(&mut c, &[0x01, 1 << 2]);
    assert_eq!(c.status(), [1 << 2, SR2_QE | SR2_CMP]);
}

#[test]
fn reset_needs_both_commands_in_a_row() {
    let mut c = chip();
    for between in [&[][..], &[0x05]] {
        send(&mut c, &[0x06]);
        send(&mut c, &[0x66]);
        send(&mut c, between);
        send(&mut c, &[0x99]);
        let expected = if between.is_empty() { 0 } else { SR1_WEL };
        assert_eq!(c.status()[0], expected);
    }
}
