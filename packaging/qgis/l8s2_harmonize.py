"""QGIS Processing script: a Landsat-8/9 scene at 10 m, by the command l8s2 in an environment of its own.

Nothing is installed into QGIS. Put this file and the .qml files beside it into the folder of Processing scripts
(Processing Toolbox, Scripts, Add Script to Toolbox; docs/elsewhere.md). Version 0.1.0.
"""

import json
import os
import queue
import re
import signal
import subprocess
import threading
from pathlib import Path

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingOutputFolder,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterString,
    QgsRasterLayer,
)

FOREIGN = ("PYTHONHOME", "PYTHONPATH", "GDAL_DATA", "GDAL_DRIVER_PATH", "PROJ_LIB", "PROJ_DATA", "QT_PLUGIN_PATH")
"""What QGIS sets for its own libraries, and what would break those of l8s2."""
LAYERS = ("SR", "SIGMA", "QA")


class L8s2Harmonize(QgsProcessingAlgorithm):
    """Runs ``l8s2 harmonize`` and loads what it wrote."""

    def name(self):
        """Return the id of the algorithm."""
        return "l8s2_harmonize"

    def displayName(self):
        """Return its title."""
        return "Landsat-8/9 to 10 m (l8s2)"

    def group(self):
        """Return the title of its group."""
        return "l8s2"

    def groupId(self):
        """Return the id of its group."""
        return "l8s2"

    def shortHelpString(self):
        """Return what the dialog says."""
        return (
            "Six bands of surface reflectance at 10 m with a standard uncertainty for every pixel, from a Landsat-8/9 "
            "Collection-2 Level-2 product (folder or .tar). The Level-1 product with pan is looked for beside it. "
            "l8s2 is installed outside of QGIS, for example by pipx; its path is the first parameter."
        )

    def createInstance(self):
        """Return a new one."""
        return L8s2Harmonize()

    def initAlgorithm(self, configuration=None):
        """Declare the parameters."""
        file, folder = QgsProcessingParameterFile.File, QgsProcessingParameterFile.Folder
        for parameter in (
            QgsProcessingParameterString("PROGRAM", "Command l8s2, with its path if needed", "l8s2"),
            QgsProcessingParameterFile("FOLDER", "Level-2 product: folder", folder, optional=True),
            QgsProcessingParameterFile("ARCHIVE", "or its .tar", file, optional=True),
            QgsProcessingParameterFile("PAN", "Level-1 product with pan: folder", folder, optional=True),
            QgsProcessingParameterExtent("EXTENT", "Only this area", optional=True),
            QgsProcessingParameterString("MGRS", "Grid of a Sentinel-2 tile, such as 43PHQ", optional=True),
            QgsProcessingParameterString("MODEL", "Model", "compact"),
            QgsProcessingParameterBoolean("OVERWRITE", "Replace an existing product", False),
            QgsProcessingParameterFolderDestination("OUTPUT", "Folder for products"),
        ):
            self.addParameter(parameter)
        self.addOutput(QgsProcessingOutputFolder("PRODUCT", "The product"))

    def processAlgorithm(self, parameters, context, feedback):
        """Run the command; raises QgsProcessingException with what it says where it fails."""
        command = self.command(parameters, context)
        feedback.pushCommandInfo(subprocess.list2cmdline(command))
        product = Path(json.loads(run(command, feedback))["product"])
        for kind in LAYERS:
            for path in product.glob(f"*_{kind}.tif"):
                load(path, kind, context)
        return {"OUTPUT": str(product.parent), "PRODUCT": str(product)}

    def command(self, parameters, context):
        """Write the parameters as a command line, a list of arguments."""
        sources = [self.parameterAsFile(parameters, name, context) for name in ("FOLDER", "ARCHIVE")]
        if len(list(filter(None, sources))) != 1:
            raise QgsProcessingException("Give the folder of the Level-2 product, or its .tar, and not both.")
        program, mgrs, model, pan, output = (
            self.parameterAsString(parameters, name, context).strip()
            for name in ("PROGRAM", "MGRS", "MODEL", "PAN", "OUTPUT")
        )
        command = [program or "l8s2", "harmonize", *filter(None, sources), "-o", output, "--model", model, "--json"]
        command += ["--pan", pan] if pan else []
        command += ["--mgrs", mgrs] if mgrs else []
        area = self.parameterAsExtent(parameters, "EXTENT", context, QgsCoordinateReferenceSystem("EPSG:4326"))
        if not area.isNull():
            corners = (area.xMinimum(), area.yMinimum(), area.xMaximum(), area.yMaximum())
            command += ["--bbox", *(f"{corner:.6f}" for corner in corners)]
        return command + (["--overwrite"] if self.parameterAsBool(parameters, "OVERWRITE", context) else [])


def run(command, feedback):
    """Run a command to its end and return its standard output; its standard error goes to the user as it comes."""
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    try:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, encoding="utf-8", errors="replace", creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
    except OSError as error:
        raise QgsProcessingException(f"{command[0]}: {error.strerror}; give the path of the command l8s2.") from None
    lines = queue.Queue()
    reader = threading.Thread(target=lambda: [lines.put(line) for line in process.stderr], daemon=True)
    reader.start()
    last, asked = "", False
    while reader.is_alive() or not lines.empty():
        if feedback.isCanceled() and not asked:
            asked = True  # as Ctrl-C, after which l8s2 leaves nothing half-written
            process.terminate() if os.name == "nt" else process.send_signal(signal.SIGINT)
        try:
            last = tell(lines.get(timeout=0.2).rstrip(), feedback) or last
        except queue.Empty:
            continue
    result = process.stdout.read()
    if asked:
        process.wait()
        raise QgsProcessingException("Cancelled.")
    if process.wait() != 0:
        raise QgsProcessingException(last or f"{command[0]} ended with exit code {process.returncode}.")
    return result


def tell(line, feedback):
    """Show a line of l8s2 as what it is, and return it; of a sign of progress return nothing."""
    progress = re.match(r"[\w ]+: (\d+) %", line)
    if progress:
        feedback.setProgress(int(progress.group(1)))
        feedback.setProgressText(line)
        return ""
    (feedback.pushWarning if line.startswith("warning") else feedback.pushInfo)(line)
    return line


def load(path, kind, context):
    """Have a raster loaded with its style once the algorithm is done."""
    layer = QgsRasterLayer(str(path), path.stem)
    style = Path(__file__).with_name(f"l8s2_{kind}.qml")
    if style.is_file():
        layer.loadNamedStyle(str(style))
    context.temporaryLayerStore().addMapLayer(layer)
    details = QgsProcessingContext.LayerDetails(path.stem, context.project(), kind)
    context.addLayerToLoadOnCompletion(layer.id(), details)
