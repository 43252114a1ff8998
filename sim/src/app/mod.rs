//! The application: what runs after the bootloader has handed over, as far as updates go.
//!
//! | module | what it models |
//! |---|---|
//! | `running` | the app itself: its build, its partition table, flash through the encryption unit |
//! | [`partition`] | `esp_partition_*`: the table as the app sees it, and its checks |
//! | [`flash`] | the flash driver's checks: `spi_flash_write_encrypted` and its successors |
//! | [`esp_ota`] | `esp_ota_*` on the running app |
//! | [`release`] | what differs between ESP-IDF releases, as a table |
//! | [`error`], [`event`] | `esp_err_t`, and what the app logs |
//! | [`https_ota`], [`encrypted_img`] | Espressif's components on top: updates over HTTP(S), pre-encrypted images |
//! | [`update`] | `device ota`: an app that fetches an update, with ESP-IDF's API or with ours |
//! | [`dryburn`] | an app that updates itself with the core's updater instead |
//! | [`script`] | a script of API calls, and what it prints |
//!
//! Decisions that the boot code shares (which otadata entry counts, whether an image is good, the next `ota_seq`) are the
//! core's. Source: behaviour sheet §4-5, corrected by the ota-api sheet and by the recorded runs it was read off.

pub mod dryburn;
pub mod encrypted_img;
pub mod error;
pub mod esp_ota;
pub mod event;
pub mod flash;
pub mod https_ota;
pub mod partition;
pub mod release;
mod running;
pub mod script;
pub mod update;

pub use error::EspError;
pub use esp_ota::EspOta;
pub use event::Event;
pub use partition::Partition;
pub use running::{App, AppBuild, RawWrites};
