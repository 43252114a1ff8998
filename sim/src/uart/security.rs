//! The words of the second stage about secure boot, flash encryption, anti-rollback and eFuses. Behaviour sheet §3, 8.2.

use super::Uart;
use crate::bootloader::{
    efuse_driver::Event as Efuse,
    security::{Event, Feature},
};
use dryburn::Chip;

pub(super) fn efuse(uart: &mut Uart<'_>, event: &Efuse) {
    let tag = "efuse";
    // the burn lines came with the block check of 4.4
    let burns = uart.idf.since(4, 4);
    match event {
        Efuse::BatchBegins => uart.info(tag, "Batch mode of writing fields is enabled"),
        Efuse::BatchCancelled => uart.info(tag, "Batch mode of writing fields is cancelled"),
        Efuse::BatchCommitted => uart.info(tag, "Batch mode. Prepared fields are committed"),
        Efuse::WritingKey { key, purpose } => {
            uart.info(tag, &format!("Writing EFUSE_BLK_KEY{key} with purpose {purpose}"));
        }
        Efuse::NoKeyBlock { required, left } => {
            uart.error(tag, &format!("Not enough unused key blocks available. Required {required}, was {left}"));
        }
        Efuse::BitsNotSet { missing } => {
            uart.error(tag, &format!("The required number of bits can not be set. [Not set {missing}]"));
        }
        Efuse::Repeated { bits } => {
            uart.error(tag, &format!("Repeated programming of programmed bits is strictly forbidden {bits:#010x}"));
        }
        Efuse::Burn { block } if burns => uart.info(tag, &format!("BURN BLOCK{block}")),
        Efuse::BurnOk { block, exact: true } if burns => {
            uart.info(tag, &format!("BURN BLOCK{block} - OK (write block == read block)"));
        }
        Efuse::BurnOk { block, .. } if burns => {
            uart.info(tag, &format!("BURN BLOCK{block} - OK (all write block bits are set)"));
        }
        Efuse::Burn { .. } | Efuse::BurnOk { .. } => {}
        Efuse::BurnFailed { block, attempt } => {
            uart.error(tag, &format!("BURN BLOCK{block} - ERROR (written bits != read bits)"));
            uart.warn(tag, &format!("BLOCK{block}: next retry to fix an error [{attempt}/3]..."));
        }
        Efuse::BurnSkipped { block } => {
            uart.error(tag, &format!("BLOCK{block} can not be burned because a previous block got an error, skipped."))
        }
        Efuse::WrittenIncorrectly => {
            uart.error(tag, "Written data are incorrect");
            if uart.idf.since(6, 1) {
                uart.error(tag, "Failed to burn eFuses");
            }
        }
        Efuse::WriteProtectionHeldBack { bits } => {
            uart.warn(tag, &format!("WR_DIS efuse was not burned (deferred): {bits:#010x}"));
        }
    }
}

pub(super) fn security(uart: &mut Uart<'_>, event: &Event) {
    use Event as E;
    let (v2, boot, fe, sb) = ("secure_boot_v2", "boot", "flash_encrypt", "secure_boot");
    let v1 = uart.since(&[((0, 0), "secure_boot"), ((4, 3), "secure_boot_v1")]);
    match event {
        E::SecureBootBegins => uart.info(v2, "enabling secure boot v2..."),
        E::SecureBootAlreadyOn => {
            let text = uart.since(&[
                ((0, 0), "secure boot v2 is already enabled. Continuing.."),
                ((4, 3), "secure boot v2 is already enabled, continuing.."),
            ]);
            uart.info(v2, text);
        }
        E::BootloaderInvalid { code } => uart.error(v2, &format!("bootloader image appears invalid! error {code}")),
        E::DigestsPresent => uart.info(v2, "Secure boot digests already present"),
        E::DigestsAbsent => uart.info(v2, "Secure boot digests absent, generating.."),
        E::DigestBlockEmpty { block } => uart.error(v2, &format!("{block} eFuse block is empty, aborting...")),
        E::DigestReadProtected { block } => {
            uart.error(v2, &format!("Key digest (BLK{block}) read protected, aborting..."));
        }
        E::DigestsCalculated { valid, image_offset } => uart.info(
            v2,
            &format!("Digests successfully calculated, {valid} valid signatures (image offset {image_offset:#x})"),
        ),
        E::NoBootloaderSignature => uart.error(v2, "No valid bootloader signature blocks found."),
        E::BlocksOnBootloader { count } => {
            uart.info(v2, &format!("{count} signature block(s) found appended to the bootloader."));
        }
        E::BurningKeyDigest => uart.info(v2, "Burning public key hash to eFuse"),
        E::TooManySignatures { count } => {
            uart.error(v2, &format!("Bootloader signatures({count}) more than available key slots."));
        }
        E::UsingPreloadedDigest => uart.warn(v2, "Using pre-loaded public key digest in eFuse"),
        E::KeyRevoked { key } => uart.info(v2, &format!("Key block({key}) has been revoked.")),
        E::NoApplicationSignature => uart.error(v2, "No valid applications signature blocks found."),
        E::BlocksOnApplication { count } => {
            uart.info(v2, &format!("{count} signature block(s) found appended to the app."));
        }
        E::MoreBlocksOnApplication { app, bootloader } => uart.warn(
            v2,
            &format!("App has {app} signature blocks but bootloader only has {bootloader}. Some keys missing from bootloader?"),
        ),
        E::KeysMatch { app, bootloader } => {
            uart.info(v2, &format!("Application key({app}) matches with bootloader key({bootloader})."));
        }
        E::NoKeyMatches => uart.error(v2, "No application key digest matches the bootloader key digest."),
        E::RevokingEmptySlot { slot } => uart.info(v2, &format!("Revoking empty key digest slot ({slot})...")),
        E::EmptySlotKept { slot } => uart.warn(
            v2,
            &format!("Unused key digest slot ({slot}) left un-revoked due to the config SECURE_BOOT_ALLOW_UNUSED_DIGEST_SLOTS"),
        ),
        E::BlowingSecureBoot => uart.info(v2, "blowing secure boot efuse..."),
        E::EnablingSecureDownload => uart.info(sb, "Enabling Security download mode..."),
        E::DownloadModeKept => uart.warn(sb, "UART ROM Download mode kept enabled - SECURITY COMPROMISED"),
        E::DisablingJtag if uart.chip == Chip::Esp32 => uart.info(sb, "Disable JTAG..."),
        E::DisablingJtag => uart.info(sb, "Disable hardware & software JTAG..."),
        E::DisablingBasic => uart.info(sb, "Disable ROM BASIC interpreter fallback..."),
        E::PreventingReadDisable => uart.info(sb, "Prevent read disabling of additional efuses..."),
        E::AllowingReadDisable => {
            uart.warn(sb, "Allowing read disabling of additional efuses - SECURITY COMPROMISED");
        }
        E::SecureBootBurnFailed => uart.error(v2, "Error programming security eFuses (err=0xffffffff)."),
        E::SecureBootEnabled => uart.info(v2, "Secure boot permanently enabled"),
        E::SecureBootFailed { code } => uart.error(boot, &format!("Secure Boot v2 failed ({code})")),
        E::V1DigestNotNeeded => {
            uart.info(v1, "bootloader secure boot is already enabled. No need to generate digest. continuing..");
        }
        E::V1DigestFailed { code } => {
            uart.error(boot, &format!("Bootloader digest generation for secure boot failed ({code})."));
        }
        E::V1BootloaderInvalid { code } => uart.error(v1, &format!("bootloader image appears invalid! error {code}")),
        E::V1GeneratingKey => uart.info(v1, "Generating new secure boot key..."),
        E::V1UsingPreloadedKey => uart.warn(v1, "Using pre-loaded secure boot key in EFUSE block 2"),
        E::V1GeneratingDigest => uart.info(v1, "Generating secure boot digest..."),
        E::V1DigestDone => uart.info(v1, "Digest generation complete."),
        E::V1Checking => uart.info(boot, "Checking secure boot..."),
        E::V1AlreadyOn => uart.info(v1, "bootloader secure boot is already enabled, continuing.."),
        E::V1KeyHalfProtected { read_missing } => {
            let what = if *read_missing { "read" } else { "write" };
            uart.error(v1, &format!("Pre-loaded key is not {what} protected. Refusing to blow secure boot efuse."));
        }
        E::V1Blowing => uart.info(v1, "blowing secure boot efuse..."),
        E::V1ProtectingKey => uart.info(v1, "Read & write protecting new key..."),
        E::V1DisablingJtag => uart.info(v1, "Disable JTAG..."),
        E::V1DisablingBasic => uart.info(v1, "Disable ROM BASIC interpreter fallback..."),
        E::V1Enabled => uart.info(v1, "secure boot is now enabled for bootloader image"),
        E::V1Failed { code } => uart.error(boot, &format!("FAILED TO ENABLE SECURE BOOT ({code}).")),
        E::CheckingFlashEncryption => uart.info(boot, "Checking flash encryption..."),
        E::FlashEncryptionOn { left } => {
            uart.info(fe, &format!("flash encryption is enabled ({left} plaintext flashes left)"));
        }
        E::CountWriteProtected { ones } => {
            uart.error(fe, &format!("Flash Encryption cannot be enabled (CRYPT_CNT ({ones}) is write protected)"));
        }
        E::GeneratingKey => uart.info(fe, "Generating new flash encryption key..."),
        E::NotEnoughKeyBlocks { required } => {
            uart.error(fe, &format!("Not enough free efuse key blocks (need {required}) to continue"));
        }
        E::Aes128KeyInUse => {
            uart.error(fe, "XTS_AES_128_KEY is already in use, XTS_AES_256_KEY_1/2 can not be used");
        }
        E::HalfKeyMissing => uart.error(fe, "Invalid efuse key blocks: Both AES-256 key blocks must be set."),
        E::PseudoRounds => uart.info(fe, "Enable XTS-AES pseudo rounds function..."),
        E::OnlyTogether => uart.error(
            boot,
            "Secure Boot and Flash Encryption cannot be enabled separately, only together (their keys go into one eFuse key block)",
        ),
        E::TogetherBurnFailed => uart.error(boot, "Error programming eFuses (err=0xffffffff)."),
        E::TogetherEnabled => uart.info(boot, "Secure boot permanently enabled"),
        E::UsingPreloadedKey => uart.info(fe, "Using pre-loaded flash encryption key in efuse"),
        E::InvalidKeyState => {
            uart.error(fe, "Invalid key state, check read&write protection for key and keypurpose(if exists)");
        }
        E::SettingCryptConfig => uart.info(fe, "Setting CRYPT_CONFIG efuse to 0xF"),
        E::CryptConfigDiffers { found } => {
            uart.error(fe, &format!("EFUSE_ENCRYPT_CONFIG should be set 0xF but it is {found:#x}"));
        }
        E::Feature { feature, burned } => self::feature(uart, *feature, *burned),
        E::FlashKeyBurnFailed => uart.error(fe, "Error programming security eFuses (err=0xffffffff)."),
        E::FlashKeyFailed { code } => {
            uart.error(boot, &format!("Initialization of Flash Encryption key failed ({code})"));
        }
        E::BootloaderEncrypted => uart.info(fe, "bootloader encrypted successfully"),
        E::NoBootloader => uart.warn(fe, "no valid bootloader was found"),
        E::TableEncrypted => uart.info(fe, "partition table encrypted and loaded successfully"),
        E::TableUnreadable => uart.error(fe, "Failed to read partition table data - not plaintext or empty?"),
        E::Encrypting { index, offset, length } => {
            uart.info(fe, &format!("Encrypting partition {index} at offset {offset:#x} (length {length:#x})..."));
        }
        E::EncryptingDone => uart.info(fe, "Done encrypting"),
        E::EncryptingFailed { code } => uart.error(boot, &format!("Encryption flash contents failed ({code})")),
        E::PermanentEncryption => uart.info(fe, "Setting CRYPT_CNT for permanent encryption"),
        E::EnablingFailed { code } => uart.error(boot, &format!("Enabling of Flash encryption failed ({code})")),
        E::FlashEncryptionCompleted => uart.info(fe, "Flash encryption completed"),
        E::ResettingEncrypted => uart.info(boot, "Resetting with flash encryption enabled..."),
        E::AntiRollbackRaised { version } => {
            uart.info("efuse", &format!("Anti-rollback is set. eFuse field is updated({version})."));
        }
        E::AntiRollbackTooLarge { most, version } => uart.error(
            "efuse",
            &format!("Max secure version is {most}. Given {version} version can not be written."),
        ),
        E::NoDescriptor { code } => uart.error(boot, &format!("Failed to get partition description {code}")),
    }
}

fn feature(uart: &mut Uart<'_>, feature: Feature, burned: bool) {
    let cache = if uart.chip == Chip::Esp32 { "MMU cache" } else { "cache" };
    let (done, kept) = match feature {
        Feature::DownloadEncryption => ("UART bootloader encryption".to_owned(), ""),
        Feature::DownloadDecryption => ("UART bootloader decryption".to_owned(), " - SECURITY COMPROMISED"),
        Feature::DownloadCache => (format!("UART bootloader {cache}"), " - SECURITY COMPROMISED"),
        Feature::Jtag => ("JTAG".to_owned(), " - SECURITY COMPROMISED"),
        Feature::Basic => ("ROM BASIC interpreter fallback".to_owned(), " - SECURITY COMPROMISED"),
    };
    if burned {
        uart.info("flash_encrypt", &format!("Disable {done}..."));
    } else {
        uart.warn("flash_encrypt", &format!("Not disabling {done}{kept}"));
    }
}
