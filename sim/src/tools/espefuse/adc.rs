//! adc-info.

use super::{
    super::Failure,
    fields::{exists, meaning},
    session::Session,
};
use dryburn::{
    Chip,
    efuse::{read, security::block_revision},
};

/// Label with its padding, field.
type Line = (&'static str, &'static str);

#[rustfmt::skip]
const S2: &[Line] = &[
    ("TADC_CALIB          = ", "ADC_CALIB"),
    ("RTCCALIB_V1IDX_A10H =  ", "RTCCALIB_V1IDX_A10H"), ("RTCCALIB_V1IDX_A11H =  ", "RTCCALIB_V1IDX_A11H"),
    ("RTCCALIB_V1IDX_A12H =  ", "RTCCALIB_V1IDX_A12H"), ("RTCCALIB_V1IDX_A13H =  ", "RTCCALIB_V1IDX_A13H"),
    ("RTCCALIB_V1IDX_A20H =  ", "RTCCALIB_V1IDX_A20H"), ("RTCCALIB_V1IDX_A21H =  ", "RTCCALIB_V1IDX_A21H"),
    ("RTCCALIB_V1IDX_A22H =  ", "RTCCALIB_V1IDX_A22H"), ("RTCCALIB_V1IDX_A23H =  ", "RTCCALIB_V1IDX_A23H"),
    ("RTCCALIB_V1IDX_A10L =  ", "RTCCALIB_V1IDX_A10L"), ("RTCCALIB_V1IDX_A11L =  ", "RTCCALIB_V1IDX_A11L"),
    ("RTCCALIB_V1IDX_A12L =  ", "RTCCALIB_V1IDX_A12L"), ("RTCCALIB_V1IDX_A13L =  ", "RTCCALIB_V1IDX_A13L"),
    ("RTCCALIB_V1IDX_A20L =  ", "RTCCALIB_V1IDX_A20L"), ("RTCCALIB_V1IDX_A21L =  ", "RTCCALIB_V1IDX_A21L"),
    ("RTCCALIB_V1IDX_A22L =  ", "RTCCALIB_V1IDX_A22L"), ("RTCCALIB_V1IDX_A23L =  ", "RTCCALIB_V1IDX_A23L"),
];

/// Title and fields; the label is the field's name after the title's unit.
const C3: &[(&str, &[&str])] = &[(
    "ADC1:",
    &[
        "ADC1_INIT_CODE_ATTEN0",
        "ADC1_INIT_CODE_ATTEN1",
        "ADC1_INIT_CODE_ATTEN2",
        "ADC1_INIT_CODE_ATTEN3",
        "ADC1_CAL_VOL_ATTEN0",
        "ADC1_CAL_VOL_ATTEN1",
        "ADC1_CAL_VOL_ATTEN2",
        "ADC1_CAL_VOL_ATTEN3",
        "ADC1_INIT_CODE_ATTEN0_CH0",
        "ADC1_INIT_CODE_ATTEN0_CH1",
        "ADC1_INIT_CODE_ATTEN0_CH2",
        "ADC1_INIT_CODE_ATTEN0_CH3",
        "ADC1_INIT_CODE_ATTEN0_CH4",
        "ADC1_INIT_CODE_ATTEN0_CH5",
        "ADC1_INIT_CODE_ATTEN0_CH6",
    ],
)];
const S3: &[(&str, &[&str])] = &[
    (
        "ADC1:",
        &[
            "ADC1_INIT_CODE_ATTEN0",
            "ADC1_INIT_CODE_ATTEN1",
            "ADC1_INIT_CODE_ATTEN2",
            "ADC1_INIT_CODE_ATTEN3",
            "ADC1_CAL_VOL_ATTEN0",
            "ADC1_CAL_VOL_ATTEN1",
            "ADC1_CAL_VOL_ATTEN2",
            "ADC1_CAL_VOL_ATTEN3",
        ],
    ),
    (
        "ADC2:",
        &[
            "ADC2_INIT_CODE_ATTEN0",
            "ADC2_INIT_CODE_ATTEN1",
            "ADC2_INIT_CODE_ATTEN2",
            "ADC2_INIT_CODE_ATTEN3",
            "ADC2_CAL_VOL_ATTEN0",
            "ADC2_CAL_VOL_ATTEN1",
            "ADC2_CAL_VOL_ATTEN2",
        ],
    ),
];
const H2: &[(&str, &[&str])] = &[(
    "ADC1:",
    &[
        "ADC1_AVE_INITCODE_ATTEN0",
        "ADC1_AVE_INITCODE_ATTEN1",
        "ADC1_AVE_INITCODE_ATTEN2",
        "ADC1_AVE_INITCODE_ATTEN3",
        "ADC1_HI_DOUT_ATTEN0",
        "ADC1_HI_DOUT_ATTEN1",
        "ADC1_HI_DOUT_ATTEN2",
        "ADC1_HI_DOUT_ATTEN3",
        "ADC1_CH0_ATTEN0_INITCODE_DIFF",
        "ADC1_CH1_ATTEN0_INITCODE_DIFF",
        "ADC1_CH2_ATTEN0_INITCODE_DIFF",
        "ADC1_CH3_ATTEN0_INITCODE_DIFF",
        "ADC1_CH4_ATTEN0_INITCODE_DIFF",
    ],
)];

/// The value of a field in the tool's words; none where it is not shown.
fn shown(session: &Session, name: &str) -> Option<String> {
    let field = session.field(name).filter(|f| exists(session, f))?;
    Some(meaning(session, field).text())
}

pub(super) fn info(session: &mut Session) -> Result<(), Failure> {
    let chip = session.e.chip();
    if chip == Chip::Esp32 {
        esp32(session);
        return Ok(());
    }
    let version = block_revision(&*session.e).map_or(0, |revision| revision.0);
    let blank = if chip == Chip::Esp32s3 { "\n" } else { "" };
    session.say(&format!("{blank}Block version: {version}"));
    let calibrated = session.e.fields().iter().any(|f| f.category == "calibration" && exists(session, f));
    if !calibrated {
        return Ok(());
    }
    if matches!(chip, Chip::Esp32c5 | Chip::Esp32c61 | Chip::Esp32p4) {
        for field in session.e.fields().iter().filter(|f| f.category == "calibration") {
            if let Some(value) = shown(session, field.name) {
                session.say(&format!("{:<30} =  {value}", field.name));
            }
        }
        return Ok(());
    }
    let value = shown(session, "TEMP_CALIB").unwrap_or_default();
    session.say(&format!("Temperature Sensor Calibration = {value}C"));
    let (groups, width, code) = match chip {
        Chip::Esp32s2 => {
            for (label, field) in S2 {
                let unit = if *field == "ADC_CALIB" { "C" } else { "" };
                let value = shown(session, field).unwrap_or_default();
                session.say(&format!("{label}{value}{unit}"));
            }
            return Ok(());
        }
        Chip::Esp32h2 => {
            session.say("");
            (H2, 24, None)
        }
        Chip::Esp32c6 => (C3, 20, Some("ADC OCode             =  ")),
        Chip::Esp32s3 => (S3, 16, Some("ADC OCode        =  ")),
        _ => (C3, 16, Some("ADC OCode        =  ")),
    };
    if let Some(label) = code {
        let value = shown(session, "OCODE").unwrap_or_default();
        session.say(&format!("{label}{value}"));
    }
    for (title, fields) in groups {
        session.say(title);
        for field in *fields {
            if let Some(value) = shown(session, field) {
                let label = field.split_once('_').map_or(*field, |(_, rest)| rest);
                session.say(&format!("{label:<width$} =  {value}"));
            }
        }
    }
    Ok(())
}

fn esp32(session: &mut Session) {
    let e = &*session.e;
    let burned = read(e, "ADC_VREF") != 0;
    let vref = shown(session, "ADC_VREF").unwrap_or_default();
    session.say(&if burned {
        format!("ADC VRef calibration: {vref}mV")
    } else {
        "ADC VRef calibration: None (1100mV nominal)".to_owned()
    });
    if read(&*session.e, "BLK3_PART_RESERVE") == 1 {
        session.say("ADC readings stored in eFuse BLOCK3:");
        for (label, field) in [
            ("ADC1 Low reading  (150mV)", "ADC1_TP_LOW"),
            ("ADC1 High reading (850mV)", "ADC1_TP_HIGH"),
            ("ADC2 Low reading  (150mV)", "ADC2_TP_LOW"),
            ("ADC2 High reading (850mV)", "ADC2_TP_HIGH"),
        ] {
            let value = shown(session, field).unwrap_or_default();
            session.say(&format!("    {label}: {value}"));
        }
    }
}
