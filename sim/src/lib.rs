//! # dryburn-sim: a software model of ESP32-family boards
//!
//! This crate *simulates*; every format and every decision comes from the core crate [`dryburn`]. Start at
//! [`device::Device`]: a chip with its flash and eFuses that can be powered on, and prints what the chip would print.
//!
//! | module | what it models |
//! |---|---|
//! | [`device`] | the board: flash, eFuses, straps, what survives a reset |
//! | [`flash`] | the NOR flash chip and its SPI commands |
//! | [`efuse`] | the eFuse controller and the files that hold eFuses |
//! | [`bus`] | what the CPU reads through cache and encryption unit |
//! | [`fault`] | power that fails while something is written |
//! | [`campaign`] | all cuts of an action, and what they lead to |
//! | [`rom`] | the first-stage bootloader in mask ROM |
//! | [`bootloader`] | the flow of ESP-IDF's second stage |
//! | [`http`] | updates over HTTP(S): a client that stays on this machine, a server with faults |
//! | [`app`] | the application's side of updates |
//! | [`uart`] | events to the exact line that a given ESP-IDF version prints |
//! | [`tools`] | esptool, espsecure, espefuse, gen_esp32part, esp_enc_img_gen, openssl ecparam |
//! | [`scenario`] | Markdown documents that run |
//! | [`report`] | results for people and machines |
//! | [`bulk`] | flash encryption of whole images on all cores |
//! | [`throughput`] | how fast flash encryption is, and beside what |
//! | [`strategy`] | proptest strategies for everything above |
//! | [`hostile`] | what holds for any bytes, for fuzz targets and tests |
#![forbid(unsafe_code)]

pub mod app;
pub mod board;
pub mod bootloader;
pub mod bulk;
pub mod bus;
pub mod campaign;
pub mod cli;
pub mod config;
pub mod device;
pub mod efuse;
pub mod event;
pub mod fault;
pub mod flash;
pub mod hostile;
pub mod http;
pub mod report;
pub mod rom;
pub mod scenario;
pub mod strategy;
pub mod throughput;
pub mod tools;
pub mod uart;
