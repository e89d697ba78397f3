//! Waves: how a batch is written in many calls without a device's readings overtaking one another.
//!
//! `PutRecords` gives no order within a call and may fail in part. Wave *k* holds the *k*-th reading of each device, so
//! that no call ever holds two readings of one device; a wave is finished before the next begins.

use std::ops::Range;

/// Most records of a `PutRecords` call (API reference, `PutRecords`).
pub(super) const CALL_RECORDS_MAX: usize = 500;
/// Most bytes of a call, data and keys. AWS takes 10 MiB and took 5 MiB before; the smaller one is safe on both.
pub(super) const CALL_BYTES_MAX: usize = 5 * 1024 * 1024;

/// The indexes of `devices` in waves. Each entry of `devices` is the number, below `device_count`, of the device that
/// the reading at its index comes from. Indexes ascend in each wave.
pub(super) fn plan(devices: &[usize], device_count: usize) -> Vec<Vec<usize>> {
    let mut sent = vec![0_usize; device_count];
    let mut waves: Vec<Vec<usize>> = Vec::new();
    for (index, &device) in devices.iter().enumerate() {
        let wave = sent[device];
        sent[device] += 1;
        if wave == waves.len() {
            waves.push(Vec::new());
        }
        waves[wave].push(index);
    }
    waves
}

/// Cuts records with these sizes into calls that the limits allow, in order. A record larger than a whole call is a
/// call of its own.
pub(super) fn calls(sizes: impl IntoIterator<Item = usize>) -> Vec<Range<usize>> {
    let mut calls: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, size) in sizes.into_iter().enumerate() {
        match calls.last_mut() {
            Some(call) if call.len() < CALL_RECORDS_MAX && bytes + size <= CALL_BYTES_MAX => {
                call.end = index + 1;
                bytes += size;
            }
            _ => {
                calls.push(index..index + 1);
                bytes = size;
            }
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_kth_reading_of_each_device_is_in_wave_k() {
        assert_eq!(plan(&[0, 1, 0, 2, 0, 1], 3), [vec![0, 1, 3], vec![2, 5], vec![4]]);
        assert_eq!(plan(&[], 0), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn calls_end_at_whichever_limit_comes_first() {
        assert_eq!(calls([1; 1001]), [0..500, 500..1000, 1000..1001]);
        let half = CALL_BYTES_MAX / 2;
        assert_eq!(calls([half, half, 1]), [0..2, 2..3]);
        assert_eq!(calls([CALL_BYTES_MAX + 1, 1]), [0..1, 1..2]);
        assert_eq!(calls([]), []);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn every_reading_is_in_one_wave_after_its_device_s_earlier_ones(
            devices in proptest::collection::vec(0..12_usize, 0..200)
        ) {
            let waves = plan(&devices, 12);
            let mut wave_of = vec![None; devices.len()];
            for (number, wave) in waves.iter().enumerate() {
                prop_assert!(!wave.is_empty());
                prop_assert!(wave.windows(2).all(|pair| pair[0] < pair[1]), "positions ascend");
                let mut seen = [false; 12];
                for &index in wave {
                    prop_assert!(wave_of[index].replace(number).is_none(), "reading {} is in two waves", index);
                    prop_assert!(!std::mem::replace(&mut seen[devices[index]], true), "two readings of one device");
                }
            }
            prop_assert!(wave_of.iter().all(Option::is_some), "a reading is in no wave");
            for device in 0..12 {
                let of_device: Vec<_> = devices.iter().zip(&wave_of).filter(|(d, _)| **d == device).map(|(_, w)| w).collect();
                prop_assert!(of_device.windows(2).all(|pair| pair[0] < pair[1]), "order of device {}", device);
            }
        }

        #[test]
        fn calls_hold_every_record_once_within_the_limits(sizes in proptest::collection::vec(1..2_000_000_usize, 0..700)) {
            let calls = calls(sizes.iter().copied());
            let mut next = 0;
            for call in calls {
                prop_assert_eq!(call.start, next);
                prop_assert!(call.end > call.start && call.len() <= CALL_RECORDS_MAX);
                prop_assert!(sizes[call.clone()].iter().sum::<usize>() <= CALL_BYTES_MAX);
                next = call.end;
            }
            prop_assert_eq!(next, sizes.len());
        }
    }
}
