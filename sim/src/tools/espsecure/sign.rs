//! `sign-data`, with private keys or with signatures that were made elsewhere.

use super::{
    Failure, Version, Workbench, check_output, fatal,
    key_file::KeyFile,
    rehearsed::{self, Memory},
    verify,
};
use clap::Args;
use dryburn::secure_boot::{
    ImageDigest,
    sign::{PublicKey, SignError},
    v2::{BLOCK, MAX_BLOCKS, SECTOR},
};
use sha2::{Digest, Sha256};
use std::{fmt::Write as _, sync::Mutex};

#[derive(Args)]
pub(super) struct SignData {
    /// Version of secure boot
    #[arg(short, long)]
    version: Version,
    /// Private keys, PEM text: one in version 1, up to three in version 2
    #[arg(short, long, num_args = 1..)]
    keyfile: Vec<String>,
    /// File to write; without, the signature goes into the data file
    #[arg(short, long)]
    output: Option<String>,
    /// Keep the signature blocks that the file has (version 2)
    #[arg(short, long)]
    append_signatures: bool,
    /// Public keys of signatures that were made elsewhere, PEM text
    #[arg(long, num_args = 1..)]
    pub_key: Vec<String>,
    /// Signatures that were made elsewhere
    #[arg(long, num_args = 1..)]
    signature: Vec<String>,
    /// Put the signature sector right behind the data, not at the next multiple of 4096 (version 2)
    #[arg(long)]
    skip_padding: bool,
    /// File to sign
    datafile: String,
}

pub(super) fn run(bench: &mut Workbench, job: &SignData, text: &mut String) -> Result<(), Failure> {
    let data = bench.read(&job.datafile)?;
    if let Some(output) = &job.output {
        let inputs = [&job.datafile].into_iter().chain(&job.keyfile).chain(&job.pub_key).chain(&job.signature);
        check_output(bench, &inputs.map(String::as_str).collect::<Vec<_>>(), output)?;
    }
    let signed = match job.version {
        Version::V1 => sign_v1(bench, job, data, text)?,
        Version::V2 => sign_v2(bench, job, data, text)?,
    };
    bench.write(job.output.as_ref().unwrap_or(&job.datafile), &signed)
}

fn sign_v1(bench: &Workbench, job: &SignData, mut data: Vec<u8>, text: &mut String) -> Result<Vec<u8>, Failure> {
    let digest = Sha256::digest(&data).into();
    let block = if job.signature.is_empty() {
        KeyFile::read(bench, only(&job.keyfile, "--keyfile")?)?.private(Version::V1)?.sign_v1(&digest)?
    } else {
        text.push_str("Pre-calculated signatures found...\n");
        let signature = only(&job.signature, "--signature")?;
        let key = KeyFile::read(bench, only(&job.pub_key, "--pub-key")?)?.attached_v1()?;
        let key = PublicKey::from_raw_p256(&key)?;
        key.attach_v1(&digest, &bench.read_small(signature)?).map_err(bad_signature)?
    };
    writeln!(text, "Signed {} bytes of data from \"{}\".", data.len(), job.datafile)?;
    data.extend_from_slice(&block);
    Ok(data)
}

fn only<'a>(files: &'a [String], option: &str) -> Result<&'a str, Failure> {
    match files {
        [file] => Ok(file),
        [] => Err(fatal(format!("Nothing to sign with; give {option}."))),
        _ => Err(fatal("Secure Boot V1 only supports one signing key.")),
    }
}

fn sign_v2(bench: &mut Workbench, job: &SignData, mut data: Vec<u8>, text: &mut String) -> Result<Vec<u8>, Failure> {
    let detached = !job.signature.is_empty();
    let mut sector = Vec::new();
    let missing = data.len().next_multiple_of(SECTOR) - data.len();
    if missing == 0 {
        if job.append_signatures {
            sector = present_blocks(&mut data, text)?;
        }
    } else if detached {
        return Err(fatal(
            "Secure Boot V2 requires the signature block to start from a 4KB aligned sector but the datafile supplied is not sector aligned.",
        ));
    } else if job.skip_padding {
        text.push_str("Skipping sector padding. Data contents are not sector aligned.\n");
    } else {
        writeln!(text, "Padding data contents by {missing} bytes so signature sector aligns at sector boundary.")?;
        data.resize(data.len() + missing, 0xFF);
    }
    if detached {
        text.push_str("Pre-calculated signatures found...\n");
    }
    let (keys, signatures) = (job.pub_key.len(), job.signature.len());
    if detached && keys != signatures {
        return Err(fatal(format!(
            "Number of public keys ({keys}) not equal to the number of signatures ({signatures})."
        )));
    }
    let count = if detached { keys } else { job.keyfile.len() };
    let empty = MAX_BLOCKS - sector.len() / BLOCK;
    if count > empty {
        return Err(fatal(format!("Number of keys ({count}) more than the empty signature blocks ({empty}).")));
    }
    writeln!(text, "{count} signing key(s) found.")?;
    if count == 0 {
        return Err(fatal("Signature Block generation failed."));
    }
    if detached {
        for (key, signature) in job.pub_key.iter().zip(&job.signature) {
            let key = KeyFile::read(bench, key)?.verifying_v2()?;
            let digest = ImageDigest::of(key.scheme(), &data);
            let block = key.attach(digest.as_ref(), &bench.read_small(signature)?).map_err(bad_signature)?;
            sector.extend_from_slice(&block);
        }
    } else {
        for key in &job.keyfile {
            sector.extend_from_slice(&signature_block(bench, key, &data)?);
        }
    }
    writeln!(
        text,
        "Signed {} bytes of data from \"{}\". Signature sector now has {} signature blocks.",
        data.len(),
        job.datafile,
        sector.len() / BLOCK
    )?;
    sector.resize(SECTOR, 0xFF);
    data.append(&mut sector);
    Ok(data)
}

/// The signature block of the private key in `keyfile` over `data`.
fn signature_block(bench: &mut Workbench, keyfile: &str, data: &[u8]) -> Result<[u8; BLOCK], Failure> {
    static MADE: Memory<[u8; BLOCK]> = Memory::new(Mutex::default);
    let file = KeyFile::read(bench, keyfile)?;
    rehearsed::once(&MADE, bench, &[file.bytes(), data], |rng| {
        let key = file.private(Version::V2)?;
        let digest = ImageDigest::of(key.scheme(), data);
        Ok(key.sign_v2(digest.as_ref(), rng)?)
    })
}

/// Takes the signature sector off `data`, if it has one, and returns its valid blocks, up to the first that is not.
fn present_blocks(data: &mut Vec<u8>, text: &mut String) -> Result<Vec<u8>, Failure> {
    let mut blocks = Vec::new();
    if let Some((_, sector)) = data.split_last_chunk::<SECTOR>() {
        for index in 0..MAX_BLOCKS {
            let Some(block) = verify::valid_block(sector, index) else { break };
            writeln!(text, "Signature block {index} is valid ({}).", verify::kind(block))?;
            blocks.extend_from_slice(block.0);
        }
    }
    if blocks.is_empty() {
        text.push_str(
            "No valid signature blocks found. Discarding --append-signature and proceeding to sign the image afresh.\n",
        );
        return Ok(blocks);
    }
    let count = blocks.len() / BLOCK;
    writeln!(text, "{count} valid signature block(s) already present in the signature sector.")?;
    if count == MAX_BLOCKS {
        return Err(fatal(
            "Up to 3 signature blocks are supported (For ESP32-ECO3 only 1 signature block is supported).",
        ));
    }
    data.truncate(data.len() - SECTOR);
    Ok(blocks)
}

fn bad_signature(_: SignError) -> Failure {
    fatal(
        "Signature verification failed: Invalid Signature\nThe pre-calculated signature has not been signed using the given public key.",
    )
}
