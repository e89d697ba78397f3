//! Line charts as SVG.

use plotters::prelude::*;

use crate::series::Series;

/// Colours that can be told apart, also by most people who confuse red and green.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
];

/// Room above the highest line, so that the legend hides nothing of it.
const HEADROOM: f64 = 1.4;

/// Size of a chart in pixels.
const SIZE: (u32, u32) = (860, 260);

/// A chart of named lines over simulated minutes. `None` when no line has two points.
pub(crate) fn lines(unit: &str, lines: &[(String, Series)]) -> Option<String> {
    let drawn: Vec<&(String, Series)> = lines.iter().filter(|(_, series)| series.points.len() > 1).collect();
    let points = || drawn.iter().flat_map(|(_, series)| series.points.iter());
    let minutes_max = points().map(|(seconds, _)| seconds / 60.0).fold(0.0, f64::max);
    let value_max = points().map(|(_, value)| *value).fold(0.0, f64::max);
    if drawn.is_empty() || minutes_max <= 0.0 {
        return None;
    }
    let mut svg = String::new();
    draw(&mut svg, unit, &drawn, minutes_max, if value_max > 0.0 { value_max * HEADROOM } else { 1.0 })
        .expect("drawing into a string cannot fail");
    Some(svg)
}

fn draw(
    svg: &mut String,
    unit: &str,
    lines: &[&(String, Series)],
    minutes_max: f64,
    value_max: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..minutes_max, 0.0..value_max)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .x_desc("simulated minutes since the start")
        .y_desc(unit)
        .x_label_formatter(&|minutes| number(*minutes))
        .y_label_formatter(&|value| number(*value))
        .draw()?;
    for ((name, series), colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let points = series.points.iter().map(|(seconds, value)| (seconds / 60.0, *value));
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(name.as_str())
            .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(225, 225, 225))
        .draw()?;
    area.present()?;
    drop(chart);
    drop(area);
    Ok(())
}

/// Short numbers: 12, 0.5, 1,500, 2.5M.
pub(crate) fn number(value: f64) -> String {
    if value.abs() >= 1e6 {
        return format!("{:.1}M", value / 1e6);
    }
    if value.fract().abs() > 1e-9 && value.abs() < 100.0 {
        return format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    grouped(value.round() as i64)
}

/// A whole number with a comma after each thousand.
pub(crate) fn grouped(value: i64) -> String {
    let digits = record::thousands(value.unsigned_abs());
    if value < 0 { format!("-{digits}") } else { digits }
}
