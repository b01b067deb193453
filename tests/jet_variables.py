"""Variables of jets as CMSSW and Athena say them, by plain formulas of four-momenta: what exports must agree with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MASS = {11: 0.000511, 13: 0.105658, 22: 0.0, 130: 0.497611, 211: 0.13957, 321: 0.493677, 2112: 0.939565, 2212: 0.938272}
CHARGE = {11: -1, 13: -1, 211: 1, 321: 1, 2212: 1}


@dataclass
class Particles:
    """One jet's particles: what is given, and what follows of it, in float64."""

    pt: np.ndarray
    y: np.ndarray
    phi: np.ndarray
    code: np.ndarray

    @classmethod
    def of(cls, inputs: dict[str, np.ndarray], row: int, masses: bool = True) -> Particles:
        """The real particles of a row, massless where nothing says what they are."""
        real = inputs["real"][row]
        pt, y, phi = inputs["particles"][row][real].astype(np.float64).T
        code = inputs["identity"][row][real] if masses else np.full(len(pt), 22, np.int32)
        return cls(pt, y, phi, code)

    @property
    def mass(self) -> np.ndarray:
        return np.array([MASS[abs(code)] for code in self.code])

    @property
    def charge(self) -> np.ndarray:
        return np.array([np.sign(code) * CHARGE.get(abs(code), 0) for code in self.code], float)

    @property
    def energy(self) -> np.ndarray:
        return np.sqrt(self.pt**2 + self.mass**2) * (np.exp(self.y) + np.exp(-self.y)) / 2

    @property
    def pz(self) -> np.ndarray:
        return np.sqrt(self.pt**2 + self.mass**2) * (np.exp(self.y) - np.exp(-self.y)) / 2

    @property
    def eta(self) -> np.ndarray:
        momentum = np.sqrt(self.pt**2 + self.pz**2)
        return 0.5 * np.log((momentum + self.pz) / (momentum - self.pz))

    @property
    def axis(self) -> tuple[float, float]:
        """Pseudorapidity and azimuth of the jet; zeros of one without particles."""
        if not len(self.pt):
            return 0.0, 0.0
        px, py, pz = (self.pt * np.cos(self.phi)).sum(), (self.pt * np.sin(self.phi)).sum(), self.pz.sum()
        momentum = np.sqrt(px**2 + py**2 + pz**2)
        return 0.5 * np.log((momentum + pz) / (momentum - pz)), np.arctan2(py, px)

    @property
    def seen(self) -> np.ndarray:
        """PDG codes of what a detector tells apart."""
        plain = {321: 211, 2212: 211, 2112: 130}
        return np.array([np.sign(code) * plain.get(abs(code), abs(code)) for code in self.code]) * np.where(
            self.charge == 0, np.sign(self.code), 1
        )

    def cmssw(self) -> dict[str, np.ndarray]:
        """What DeepBoostedJetTagInfoProducer fills."""
        (eta, phi), kind = self.axis, np.abs(self.seen)
        sign = 1 if eta > 0 else -1
        filled = {
            "pfcand_etarel": sign * (self.eta - eta),
            "pfcand_phirel": np.angle(np.exp(1j * (self.phi - phi))),
            "pfcand_pt_log": np.log(self.pt),
            "pfcand_pt_log_nopuppi": np.log(self.pt),
            "pfcand_e_log_nopuppi": np.log(self.energy),
            "pfcand_abseta": np.abs(self.eta),
            "pfcand_charge": self.charge,
            "pfcand_isEl": kind == 11,
            "pfcand_isMu": kind == 13,
            "pfcand_isGamma": kind == 22,
            "pfcand_isChargedHad": kind == 211,
            "pfcand_isNeutralHad": kind == 130,
            "pfcand_mask": np.ones(len(kind)),
        }
        return {name: values.astype(np.float32) for name, values in filled.items()}

    def mirrored(self) -> tuple[np.ndarray, np.ndarray]:
        """Momenta and codes that a model is to see in CMSSW: the jet at azimuth 0, on the side of positive pseudorapidity."""
        eta, phi = self.axis
        turned = np.angle(np.exp(1j * (self.phi - phi)))
        return np.stack([self.pt, self.y if eta > 0 else -self.y, turned], axis=-1), self.seen

    def athena(self) -> dict[str, np.ndarray]:
        """Variables of charged particles, energies in MeV."""
        momentum = np.sqrt(self.pt**2 + self.pz**2)
        lepton = np.isin(np.abs(self.code), (11, 13))
        with np.errstate(divide="ignore"):
            filled = {
                "pt": 1e3 * self.pt,
                "deta": self.eta - self.axis[0],
                "dphi": np.angle(np.exp(1j * (self.phi - self.axis[1]))),
                "qOverP": self.charge / (1e3 * momentum),
                "leptonID": np.where(lepton, self.code, 0),
            }
        return {name: values.astype(np.float32) for name, values in filled.items()}


def padded(jets: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """Momenta and codes of jets of any length as the inputs of a model."""
    longest = max(1, *(len(codes) for _, codes in jets))
    found = {
        "particles": np.zeros((len(jets), longest, 3), np.float32),
        "identity": np.zeros((len(jets), longest), np.int32),
        "real": np.zeros((len(jets), longest), bool),
    }
    for row, (momenta, codes) in enumerate(jets):
        found["particles"][row, : len(codes)] = momenta
        found["identity"][row, : len(codes)] = codes
        found["real"][row, : len(codes)] = True
    return found
