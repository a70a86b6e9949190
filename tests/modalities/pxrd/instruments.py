"""Files of instruments, built byte by byte for the tests; the public readers of these formats read them too."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np

DATA = Path(__file__).with_name("data")
GRID_OF_FILE = np.linspace(20.0, 60.0, 401)
XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def counts(two_theta_deg: np.ndarray) -> np.ndarray:
    """Whole counts with two peaks, the higher at 28.4 degrees."""
    peaks = 900 * np.exp(-(((two_theta_deg - 28.44) / 0.15) ** 2)) + 500 * np.exp(
        -(((two_theta_deg - 47.3) / 0.18) ** 2)
    )
    return np.round(40 + peaks)


def columns(
    two_theta_deg: np.ndarray, intensity: np.ndarray, *, header: str = "", separator: str = " ", decimal: str = "."
) -> str:
    rows = (f"{x:.4f}{separator}{y:.2f}".replace(".", decimal) for x, y in zip(two_theta_deg, intensity, strict=True))
    return header + "\n".join(rows) + "\n"


def write_rasx(path: Path, *, axis: str = "TwoTheta-Theta", attenuation: float = 1.0, scans: int = 1) -> None:
    conditions = f"""<?xml version="1.0" encoding="utf-8"?>
<Measurement>
  <ScanInformation><AxisName>{axis.replace("-", "")}</AxisName><Mode>CONTINUOUS</Mode></ScanInformation>
  <HWConfigurations>
    <XrayGenerator><TargetName>Cu</TargetName><Voltage>40</Voltage><VoltageUnit>kV</VoltageUnit>
      <Current>30</Current><CurrentUnit>mA</CurrentUnit>
      <WavelengthKalpha1>1.540593</WavelengthKalpha1><WavelengthKalpha2>1.544414</WavelengthKalpha2>
      <WavelengthKbeta>1.392250</WavelengthKbeta></XrayGenerator>
    <Categories><Category Name="Detector" SelectedUnit="D/teX Ultra" /></Categories>
    <Optics><Item>none</Item></Optics><Distances />
  </HWConfigurations>
  <RASHeader /><Axes />
</Measurement>"""
    intensity = counts(GRID_OF_FILE) / attenuation
    profile = "\ufeff" + "\r\n".join(
        f"{x:.4f}\t{y:.4f}\t{attenuation:.4f}" for x, y in zip(GRID_OF_FILE, intensity, strict=True)
    )
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(scans):
            archive.writestr(f"Data{i}/Profile{i}.txt", profile)
            archive.writestr(f"Data{i}/MesurementConditions{i}.xml", conditions)


def write_brml(path: Path, *, axis: str = "TwoTheta") -> None:
    rows = "".join(
        f"<Datum>0.5,1,{x:.4f},{x / 2:.4f},{y:.0f}</Datum>"
        for x, y in zip(GRID_OF_FILE, counts(GRID_OF_FILE), strict=True)
    )
    raw = f"""<?xml version="1.0" encoding="utf-8"?>
<RawData {XSI}>
  <FixedInformation>
    <Instrument><PrimaryTracks><TrackInfoData><MountedOptics>
      <InfoData xsi:type="TubeMountInfoData"><Tube><TubeMaterial>Co</TubeMaterial>
        <WaveLengthAlpha1 Unit="Å" Value="1.788965" /><WaveLengthAlpha2 Unit="Å" Value="1.792850" />
        <WaveLengthBeta Unit="Å" Value="1.620790" /><WaveLengthRatio Value="0.5" /></Tube></InfoData>
      <InfoData xsi:type="SlitInfoData" />
    </MountedOptics></TrackInfoData></PrimaryTracks></Instrument>
    <Drives><InfoData LogicName="Theta"><Position Value="10" Unit="Degree" /></InfoData></Drives>
  </FixedInformation>
  <DataRoutes><DataRoute RouteFlag="Final">
    <ScanInformation ScanName="Locked Coupled"><MeasurementPoints>401</MeasurementPoints>
      <TimePerStep>0.5</TimePerStep><TimePerStepEffective>0.5</TimePerStepEffective><ScanMode>Continuous</ScanMode>
      <ScanAxes>
        <ScanAxisInfo AxisName="{axis}"><Unit Base="Degree" /><Reference>0</Reference><Start>20</Start><Stop>60</Stop>
          <Increment>0.1</Increment></ScanAxisInfo>
        <ScanAxisInfo AxisName="Theta"><Unit Base="Degree" /><Reference>0</Reference><Start>10</Start><Stop>30</Stop>
          <Increment>0.05</Increment></ScanAxisInfo>
      </ScanAxes></ScanInformation>
    <DataViews>
      <RawDataView xsi:type="FixedRawDataView" Start="0" Length="1" LogicName="MeasuredTime" />
      <RawDataView xsi:type="FixedRawDataView" Start="1" Length="1" LogicName="AbsorptionFactor" />
      <RawDataView xsi:type="VaryingRawDataView" Start="2" Length="2" />
      <RawDataView xsi:type="RecordedRawDataView" Start="4" Length="1"><Recording LogicName="Counter1D" /></RawDataView>
    </DataViews>{rows}
  </DataRoute></DataRoutes>
</RawData>"""
    container = (
        "<DataContainer><RawDataReferenceList><string>Experiment0/RawData0.xml</string></RawDataReferenceList>"
        "</DataContainer>"
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Experiment0/DataContainer.xml", container)
        archive.writestr("Experiment0/RawData0.xml", raw)


def raw4(*, drive: str = "2Theta", point_bytes: int = 8) -> bytes:
    """A RAW4.00 file with one range, every part where files of DIFFRAC have it."""
    content = bytearray(b"RAW4.00\0".ljust(61, b"\0"))
    content += struct.pack("<II", 10, 0x134 - len(content)).ljust(0x134 - len(content), b"\0")
    source = bytearray(struct.pack("<II", 30, 139).ljust(139, b"\0"))
    struct.pack_into("<5d", source, 72, 1.541874, 1.540598, 1.544426, 1.392250, 0.5)
    source[116:118] = b"Cu"
    content += source
    intensity = counts(GRID_OF_FILE)
    header = bytearray(160)
    struct.pack_into("<IH", header, 0, 0, len(intensity))
    header[32:46] = b"Locked Coupled"
    struct.pack_into("<ddI", header, 72, 20.0, 0.1, len(intensity))
    struct.pack_into("<II", header, 136, point_bytes, 704)
    content += header
    content += struct.pack("<II", 50, 612) + struct.pack("<I24s", 0, b"Theta").ljust(604, b"\0")
    record = bytearray(struct.pack("<III24s", 50, 92, 1, drive.encode()).ljust(92, b"\0"))
    struct.pack_into("<d", record, 56, 20.0)
    content += record
    for value in intensity:
        content += struct.pack("<f", value).ljust(point_bytes, b"\1")
    return bytes(content)
