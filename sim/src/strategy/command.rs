//! Command lines of the vendor's tools and of `dryburn`: as people type them, and with one thing wrong.
//!
//! [`desk`] writes the files that they name.

use crate::tools::Workbench;
use dryburn::{
    Chip, SecureBootScheme,
    envelope::{EciesKey, Recipient, seal},
    image::Builder,
    secure_boot::sign::SigningKey,
};
use proptest::{collection::vec, prelude::*};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::{io, sync::LazyLock};

/// Commands that do their work on the desk; `|` separates spellings and values of a word, of which any will do.
pub const COMMANDS: &[&str] = &[
    "esptool|esptool.py write-flash|write_flash 0x10000|0x20000|0 app.bin|boot.bin",
    "esptool write-flash --encrypt 0x10000|65536 app.bin",
    "esptool write-flash --erase-all --flash-size|-fs 4MB|keep|detect 0|0x1000 boot.bin 0x10000 app.bin",
    "esptool read-flash|read_flash 0|0x8000|0x10000 0x1000|256|ALL out.bin",
    "esptool erase-flash|erase_flash",
    "esptool erase-region|erase_region 0|0x9000|0xd000 0x1000|0x2000|ALL",
    "esptool image-info|image_info app.bin|boot.bin|input.bin|signed.bin",
    "esptool --chip esp32|esp32c3|auto merge-bin|merge_bin -o|--output out.bin --pad-to-size 1MB|2MB 0x1000|0 boot.bin 0x10000 app.bin",
    "esptool --flash flash.bin --flash-chip-size 256KB|1MB|4MB write-flash 0x1000 app.bin",
    "espsecure|espsecure.py generate-flash-encryption-key|generate_flash_encryption_key -l|--keylen 128|192|256|512 new.bin",
    "espsecure encrypt-flash-data|encrypt_flash_data --keyfile|-k key.bin --address|-a 0x10000|0 --output|-o out.bin app.bin|input.bin",
    "espsecure decrypt-flash-data -k key.bin -a 0x1000 --flash-crypt-conf|--flash_crypt_conf 0xF|0|7 -o out.bin app.bin",
    "espsecure encrypt-flash-data --aes-xts|-x -k key.bin|key64.bin -a 0x10000 -o out.bin app.bin",
    "espsecure generate-signing-key|generate_signing_key --version 2 --scheme ecdsa256|ecdsa192|ecdsa384 new.pem",
    "espsecure sign-data|sign_data --version|-v 1|2 --keyfile key.pem|input.bin --output out.bin app.bin|input.bin",
    "espsecure sign-data --version 2 --keyfile key.pem --append-signatures --output out.bin signed.bin",
    "espsecure verify-signature|verify_signature --version 1|2 --keyfile key.pem|input.bin signed.bin|app.bin|input.bin",
    "espsecure signature-info-v2|signature_info_v2 signed.bin|app.bin|input.bin",
    "espsecure extract-public-key --version 1|2 --keyfile key.pem out.pem",
    "espsecure digest-sbv2-public-key --keyfile key.pem --output out.bin",
    "espsecure digest-private-key --keyfile key.pem -l 192|256 out.bin",
    "espsecure digest-secure-bootloader --keyfile key.bin --iv iv.bin --output out.bin boot.bin|input.bin",
    "espefuse|espefuse.py summary|dump|check-error|adc-info|get-custom-mac",
    "espefuse summary --format json|summary|value_only --file out.txt",
    "espefuse --do-not-confirm burn-efuse|burn_efuse FLASH_CRYPT_CNT|SPI_BOOT_CRYPT_CNT|DIS_DOWNLOAD_ICACHE|MAC|input.bin 1|7|0x100000000",
    "espefuse burn-key|burn_key BLOCK_KEY0|BLOCK1|flash_encryption|BLOCK_KEY5|input.bin key.bin|key64.bin XTS_AES_128_KEY|USER|SECURE_BOOT_DIGEST0",
    "espefuse burn-key flash_encryption|secure_boot_v1|secure_boot_v2 key.bin",
    "espefuse burn-key --no-read-protect --show-sensitive-info BLOCK_KEY1 key.bin USER",
    "espefuse burn-key-digest BLOCK_KEY2 key.pem SECURE_BOOT_DIGEST0",
    "espefuse burn-bit BLOCK0|BLOCK3|BLOCK_KEY4 0|7|255|256",
    "espefuse burn-block-data --offset 0|4|31 BLOCK3|BLOCK_USR_DATA iv.bin",
    "espefuse write-protect-efuse|read-protect-efuse FLASH_CRYPT_CNT|BLOCK_KEY0|BLOCK1|MAC",
    "espefuse burn-custom-mac 48:63:92:15:72:16",
    "espefuse set-flash-voltage 1.8V|3.3V|OFF",
    "espefuse --chip esp32|esp32c3|esp32s3 --virt --path-efuse-file efuses.bin|input.bin summary|dump",
    "gen_esp32part|gen_esp32part.py --flash-size 1MB|4MB --offset 0x8000|0x9000 parts.csv|input.bin out.bin",
    "gen_esp32part partition-table.bin|input.bin out.csv|-",
    "gen_esp32part --secure v1|v2 --no-verify --disable-md5sum parts.csv out.bin",
    "enc-img|enc_img|esp_enc_img_gen.py encrypt app.bin key.pem|input.bin out.bin",
    "enc-img decrypt app.enc|input.bin key.pem out.bin",
    "openssl ecparam -name prime256v1|prime192v1|secp384r1 -genkey -noout -out new.pem",
    "device power-on|reset",
    "device power-on --resets 1|3",
    "device provision plain|fe|sb|fe+sb",
    "dryburn chips",
    "dryburn boot --chip esp32|esp32c3 --flash flash.bin|input.bin --efuses efuses.bin|input.bin --json",
    "dryburn boot --chip esp32 --flash flash.bin --revision v1.0|v3.0 --idf 4.2|6.1 --config SECURE_BOOT_V2_ENABLED=y",
    "dryburn image new out.bin --chip esp32|esp32c6 --size 4K|0x2000 --seed 1 --version 1.2.3",
    "dryburn image info app.bin|input.bin|signed.bin --chip esp32",
    "dryburn image damage app.bin magic|checksum|hash|bit --repair",
    "dryburn image damage app.bin segment-count|segment-length|load-address|chip-id|truncate 0|3|0x1000",
    "dryburn otadata new out.bin --entry 1|2:NEW|3:VALID:bad|blank",
    "dryburn otadata show otadata.bin|input.bin --slots 2|3",
    "dryburn envelope seal --hmac-key key.bin app.bin out.enc",
    "dryburn envelope open --hmac-key key.bin app.enc|input.bin out.bin",
    "dryburn envelope inspect app.enc|input.bin",
    "dryburn envelope damage app.enc tag|truncate|append 1|512",
];

/// Words that fit nowhere.
const ODD: &[&str] = &[
    "",
    "-",
    "--",
    "-1",
    "0x",
    "0x100000000",
    "18446744073709551616",
    "0xffffffffffffffff",
    "1e9",
    "ALL",
    "\u{0}",
    "ä…\u{1f600}",
    "..",
    "../out.bin",
    "/dev/null",
    "folder",
    "missing",
    "--help",
    "--version",
    "-h",
    "--chip",
    "--flash",
    "=",
    "--output=",
    "%s%n",
    "1__0",
    "0x_",
    "４",
];

/// A command of [`COMMANDS`] with each word chosen among its spellings.
pub fn good() -> impl Strategy<Value = Vec<String>> {
    (prop::sample::select(COMMANDS), vec(any::<prop::sample::Index>(), 24)).prop_map(|(command, choices)| {
        let choose = |(word, choice): (&str, prop::sample::Index)| {
            let spellings: Vec<&str> = word.split('|').collect();
            choice.get(&spellings).to_string()
        };
        command.split(' ').zip(choices).map(choose).collect()
    })
}

/// One thing wrong with a command line.
#[derive(Clone, Copy, Debug)]
pub enum Damage {
    /// A word is missing.
    Dropped,
    /// A word stands there twice.
    Doubled,
    /// A word changes places with the next.
    Swapped,
    /// A word is another one.
    Odd(&'static str),
    /// The line ends before a word.
    Cut,
}

/// Any damage.
pub fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        1 => Just(Damage::Dropped),
        1 => Just(Damage::Doubled),
        1 => Just(Damage::Swapped),
        4 => prop::sample::select(ODD).prop_map(Damage::Odd),
        1 => Just(Damage::Cut),
    ]
}

impl Damage {
    /// The command line with word `at` (modulo their number) damaged.
    pub fn apply(self, words: &mut Vec<String>, at: usize) {
        let Some(at) = at.checked_rem(words.len()) else { return };
        match self {
            Self::Dropped => drop(words.remove(at)),
            Self::Doubled => words.insert(at, words[at].clone()),
            Self::Swapped => {
                let next = (at + 1) % words.len();
                words.swap(at, next);
            }
            Self::Odd(word) => words[at] = word.into(),
            Self::Cut => words.truncate(at),
        }
    }
}

/// Command lines, more often good than not.
pub fn line() -> impl Strategy<Value = Vec<String>> {
    let damages = vec((damage(), any::<usize>()), 0..3);
    (good(), damages).prop_map(|(mut words, damages)| {
        damages.into_iter().for_each(|(damage, at)| damage.apply(&mut words, at));
        words
    })
}

/// What the files of [`desk`] are made of; keys and signatures take a while.
static FILES: LazyLock<Vec<(&str, Vec<u8>)>> = LazyLock::new(|| {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let key = SigningKey::generate(SecureBootScheme::V2EcdsaP256, &mut rng).expect("a key");
    let app = Builder::app(Chip::Esp32).size(4096).build();
    let mut signed = app.clone();
    signed.resize(8192, 0xFF);
    let block = key.sign_v2(&[0x5A; 32], &mut rng).expect("a signature");
    signed[4096..][..block.len()].copy_from_slice(&block);
    let opener = EciesKey::from_hmac_key(&[0x5A; 32]).expect("a key");
    vec![
        ("app.enc", seal(&app, &Recipient::ecies(&opener), &mut rng).expect("an envelope")),
        ("app.bin", app),
        ("boot.bin", Builder::bootloader(Chip::Esp32, dryburn::IdfVersion::LATEST).size(4096).build()),
        ("signed.bin", signed),
        ("key.bin", vec![0x5A; 32]),
        ("key64.bin", vec![0xA5; 64]),
        ("iv.bin", vec![3; 128]),
        ("key.pem", key.to_pem().expect("PEM text").as_bytes().to_vec()),
        ("parts.csv", b"nvs, data, nvs, 0x9000, 0x4000\nota, data, ota, , 8K\na, app, ota_0, , 64K\n".to_vec()),
        ("otadata.bin", vec![0xFF; 0x2000]),
        ("flash.bin", vec![0xFF; 0x4_0000]),
        ("efuses.bin", vec![0; 124]),
    ]
});

/// Writes the files that the commands name, but for `input.bin`, which is the caller's.
///
/// # Errors
/// What the file system says.
pub fn desk(bench: &Workbench) -> io::Result<()> {
    for (name, bytes) in FILES.iter() {
        bench.write(name, bytes).map_err(|failure| io::Error::other(failure.text))?;
    }
    std::fs::create_dir(bench.path("folder").map_err(|failure| io::Error::other(failure.text))?)
}
