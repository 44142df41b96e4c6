<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.34" styleCategories="Symbology">
  <pipe>
    <rasterrenderer type="singlebandpseudocolor" band="3" alphaBand="-1" opacity="1" classificationMin="0" classificationMax="0.05">
      <rastershader>
        <colorrampshader colorRampType="INTERPOLATED" classificationMode="1" clip="0" minimumValue="0" maximumValue="0.05">
          <item value="0" color="#440154" alpha="255" label="0"/>
          <item value="0.005" color="#404688" alpha="255" label="0.005"/>
          <item value="0.01" color="#2a788e" alpha="255" label="0.01"/>
          <item value="0.02" color="#22a884" alpha="255" label="0.02"/>
          <item value="0.03" color="#7ad151" alpha="255" label="0.03"/>
          <item value="0.05" color="#fde725" alpha="255" label="0.05"/>
        </colorrampshader>
      </rastershader>
    </rasterrenderer>
  </pipe>
</qgis>
