//! The generator's rules. No device checks any of them.

use super::{Diagnostic, Options, Partition, Secure};
use crate::partition::{PartitionType, Subtype, TYPES};
use alloc::{collections::BTreeMap, format, string::String, vec::Vec};

/// The least size in bytes of an NVS partition that can be written.
const NVS_WRITABLE_MIN: u32 = 0x3000;
/// otadata is two sectors.
const OTADATA_SIZE: u32 = 0x2000;

/// What the offset of a partition must be a multiple of, in bytes.
pub(super) const fn offset_alignment(kind: PartitionType) -> u32 {
    if matches!(kind, PartitionType::APP) { 0x1_0000 } else { 0x1000 }
}

/// Applies the rules in the generator's order and stops at the first breach. Lines that the generator prints meanwhile
/// (warnings, and the rows that a complaint is about) are added to `log`.
pub fn verify(partitions: &[Partition], options: &Options<'_>, log: &mut Vec<String>) -> Result<(), Diagnostic> {
    partitions.iter().try_for_each(|p| alone(p, options, log))?;
    names(partitions, options, log)?;
    places(partitions, options)?;
    let otadata = Rule { subtype: Subtype::DATA_OTA, title: "", keyword: "subtype=\"ota\"(0)" };
    let tee = Rule { subtype: Subtype::DATA_TEE_OTA, title: "TEE ", keyword: "subtype=\"tee_ota\"(0x90)" };
    otadata.check(partitions, options, log)?;
    tee.check(partitions, options, log)
}

/// The rules that concern one partition by itself.
fn alone(p: &Partition, options: &Options<'_>, log: &mut Vec<String>) -> Result<(), Diagnostic> {
    let invalid = |field: usize, what: String| p.complaint(field, format!("Partition {} invalid: {what}", p.name));
    let unaligned = |value: u32, align: u32| {
        let below = value.checked_rem(align).map_or(value, |rest| value.saturating_sub(rest));
        format!("{below:#x} or {:#x}", u64::from(below).saturating_add(u64::from(align)))
    };
    let align = offset_alignment(p.kind);
    if !p.offset.is_multiple_of(align) {
        let what = format!("Offset 0x{:x} is not aligned to 0x{align:x}", p.offset);
        return Err(invalid(3, what).help(unaligned(p.offset, align)));
    }
    if p.kind == PartitionType::APP {
        let align = if options.secure == Some(Secure::V1) { 0x1_0000 } else { 0x1000 };
        if !p.size.is_multiple_of(align) {
            let what = format!("Size 0x{:x} is not aligned to 0x{align:x}", p.size);
            return Err(invalid(4, what).help(unaligned(p.size, align)));
        }
    }
    if TYPES.iter().any(|(name, kind)| *name == p.name && *kind != p.kind) {
        log.push(format!(
            "WARNING: Partition has name '{}' which is a partition type, but does not match this partition's type \
             (0x{:x}). Mistake in partition table?",
            p.name, p.kind.0
        ));
    }
    let own = options.subtypes_of(p.kind).any(|(name, subtype)| name == p.name && subtype == p.subtype);
    if options.is_subtype_name(&p.name) && !own {
        log.push(format!(
            "WARNING: Partition has name '{}' which is a partition subtype, but this partition has non-matching type \
             0x{:x} and subtype 0x{:x}. Mistake in partition table?",
            p.name, p.kind.0, p.subtype.0
        ));
    }
    if p.kind != PartitionType::DATA {
        return Ok(());
    }
    let which = format!("'{}' partition of type {} and subtype {}", p.name, p.kind.0, p.subtype.0);
    if matches!(p.subtype, Subtype::DATA_OTA | Subtype::DATA_COREDUMP) && p.readonly {
        let what = format!("{which} is always read-write and cannot be read-only");
        return Err(invalid(5, what).help("remove the flag readonly"));
    }
    if p.subtype == Subtype::DATA_NVS && p.size < NVS_WRITABLE_MIN && !p.readonly {
        let what = format!(
            "{which} of this size (0x{:x}) must be flagged as 'readonly' (the size of read/write NVS has to be at least \
             0x{NVS_WRITABLE_MIN:x})",
            p.size
        );
        return Err(invalid(4, what).help("a size of 0x3000 or more, or the flag readonly"));
    }
    Ok(())
}

/// No two partitions have one name.
fn names(partitions: &[Partition], options: &Options<'_>, log: &mut Vec<String>) -> Result<(), Diagnostic> {
    let mut by_name: BTreeMap<&str, Vec<&Partition>> = BTreeMap::new();
    for p in partitions {
        by_name.entry(&p.name).or_default().push(p);
    }
    let twins: Vec<&Partition> = by_name.into_values().filter(|same| same.len() > 1).flatten().collect();
    let Some(second) = twins.get(1) else { return Ok(()) };
    log.push("A list of partitions that have the same name:".into());
    log.extend(twins.iter().map(|p| p.to_csv(options)));
    Err(second.complaint(0, "Partition names must be unique"))
}

/// Nothing lies on the table, and no two partitions overlap.
fn places(partitions: &[Partition], options: &Options<'_>) -> Result<(), Diagnostic> {
    let mut sorted: Vec<&Partition> = partitions.iter().collect();
    sorted.sort_by_key(|p| p.offset);
    let table_end = options.table_end();
    let mut last: Option<&Partition> = None;
    for p in sorted {
        if u64::from(p.offset) < table_end && !p.is_primary() {
            let message = format!("Partition offset 0x{:x} is below 0x{table_end:x}", p.offset);
            return Err(p.complaint(3, message).help("the table occupies the sector below"));
        }
        if let Some(l) = last.filter(|l| u64::from(p.offset) < l.end()) {
            let message =
                format!("Partition at 0x{:x} overlaps 0x{:x}-0x{:x}", p.offset, l.offset, l.end().saturating_sub(1));
            return Err(p.complaint(3, message).help(format!("'{}' lies there", l.name)));
        }
        last = Some(p);
    }
    Ok(())
}

/// There is at most one otadata partition, of two sectors.
struct Rule {
    subtype: Subtype,
    title: &'static str,
    keyword: &'static str,
}

impl Rule {
    fn check(&self, partitions: &[Partition], options: &Options<'_>, log: &mut Vec<String>) -> Result<(), Diagnostic> {
        let Self { subtype, title, keyword } = *self;
        let found: Vec<&Partition> =
            partitions.iter().filter(|p| p.kind == PartitionType::DATA && p.subtype == subtype).collect();
        match found.as_slice() {
            [] => Ok(()),
            [p] if p.size == OTADATA_SIZE => Ok(()),
            [p] => {
                log.push(p.to_csv(options));
                Err(p.complaint(4, format!("{title}otadata partition must have size = 0x2000")))
            }
            [_, second, ..] => {
                log.extend(found.iter().map(|p| p.to_csv(options)));
                Err(second.complaint(
                    2,
                    format!(
                        "Found multiple {title}otadata partitions. Only one partition can be defined with \
                         type=\"data\"(1) and {keyword}."
                    ),
                ))
            }
        }
    }
}

/// Whether the partitions end inside a flash of `flash_size` bytes; the generator looks only at the partition with the
/// highest offset.
pub fn verify_size_fits(partitions: &[Partition], flash_size: u64) -> Result<(), Diagnostic> {
    // Of several at one offset, the generator takes the first.
    let Some(last) = partitions.iter().rev().max_by_key(|p| p.offset) else { return Ok(()) };
    let end = last.end();
    if end <= flash_size {
        return Ok(());
    }
    #[allow(clippy::cast_precision_loss, reason = "33 bits are exact")]
    let megabytes = end as f64 / 1_048_576.0;
    let message = format!(
        "Partitions tables occupies {megabytes:.1}MB of flash ({end} bytes) which does not fit in configured flash size \
         {}MB. Change the flash size in menuconfig under the 'Serial Flasher Config' menu.",
        flash_size / 1_048_576
    );
    Err(last.complaint(4, message))
}
